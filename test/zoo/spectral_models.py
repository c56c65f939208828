"""Models with Fourier transforms and complex numbers."""
import torch


class FourierOperator(torch.nn.Module):
    """A Fourier neural operator's block twice (Li et al. 2021): the low frequencies times complex weights, beside a 1x1 convolution."""

    def __init__(self, width=8, modes=5):
        super().__init__()
        self.modes = modes
        self.lift = torch.nn.Conv2d(3, width, 1)
        weight = lambda: torch.nn.Parameter(torch.randn(2, width, width, modes, modes, dtype=torch.cfloat) / width)
        self.first, self.second = weight(), weight()
        self.local = torch.nn.Conv2d(width, width, 1)
        self.project = torch.nn.Conv2d(width, 1, 1)

    def block(self, x, weight):
        spectrum = torch.fft.rfft2(x)
        out = torch.zeros_like(spectrum)
        m = self.modes
        out[:, :, :m, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, :m, :m], weight[0])
        out[:, :, -m:, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -m:, :m], weight[1])
        y = torch.fft.irfft2(out, s=(x.size(-2), x.size(-1)))
        return torch.nn.functional.gelu(y + self.local(x))

    def forward(self, x):
        return self.project(self.block(self.block(self.lift(x), self.first), self.second))


class Spectrogram(torch.nn.Module):
    """Speech features as recognizers have them, and a convolution over them."""

    def __init__(self, n_fft=64, bands=16):
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft))
        self.register_buffer("bands", torch.rand(bands, n_fft // 2 + 1))
        self.conv = torch.nn.Conv1d(bands, 8, 3, padding=1)

    def forward(self, x):
        spectrum = torch.stft(x, self.n_fft, 16, window=self.window, return_complex=True)
        power = spectrum.abs() ** 2
        return self.conv(torch.log10(torch.clamp(torch.matmul(self.bands, power), min=1e-5)))


class Vocoder(torch.nn.Module):
    """From features to a waveform by magnitudes and phases, as in Vocos (Siuzdak 2023)."""

    def __init__(self, n_fft=32, hop=8):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.body = torch.nn.Conv1d(10, n_fft + 2, 5, padding=2)
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, x):
        magnitude, phase = self.body(x).chunk(2, dim=1)
        magnitude = torch.clamp(torch.exp(magnitude), max=100.0)
        spectrum = torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase))
        return torch.istft(spectrum, self.n_fft, self.hop, window=self.window)


class RotaryAttention(torch.nn.Module):
    """Attention whose positions are rotations by complex numbers, as Llama was published (Touvron et al. 2023)."""

    def __init__(self, width=32, heads=4, longest=64):
        super().__init__()
        self.heads = heads
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, width)
        half = width // heads // 2
        angles = torch.outer(torch.arange(longest).float(), 10000.0 ** (-torch.arange(half).float() / half))
        self.register_buffer("rotation", torch.polar(torch.ones_like(angles), angles))

    def rotate(self, x):
        pairs = torch.view_as_complex(x.float().reshape(x.size(0), x.size(1), self.heads, -1, 2))
        turned = pairs * self.rotation[: x.size(1)].view(1, x.size(1), 1, -1)
        return torch.view_as_real(turned).flatten(3).transpose(1, 2)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        v = v.view(x.size(0), x.size(1), self.heads, -1).transpose(1, 2)
        y = torch.nn.functional.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(x.size(0), x.size(1), -1))


MODELS = {
    "nn_fourier_operator": lambda: (FourierOperator(), (torch.randn(2, 3, 24, 20),)),
    "nn_spectrogram": lambda: (Spectrogram(), (torch.randn(2, 400),)),
    "nn_vocoder": lambda: (Vocoder(), (torch.randn(2, 10, 25),)),
    "nn_rotary_attention": lambda: (RotaryAttention(), (torch.randn(2, 9, 32),)),
}
