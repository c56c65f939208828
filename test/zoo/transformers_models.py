"""Models of the transformers library for the zoo: small, random weights, ranges of batch and length."""
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

SMALL = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=100,
    max_position_embeddings=64,
)


class Wrapped(torch.nn.Module):
    """Tensors in, tensors out: no caches, no dicts."""

    def __init__(self, model, *names, **fixed):
        super().__init__()
        self.model, self.names, self.fixed = model, names, fixed

    def forward(self, *inputs):
        output = self.model(**dict(zip(self.names, inputs)), **self.fixed, return_dict=True)
        return tuple(value for value in output.values() if isinstance(value, torch.Tensor))


class OneInput(Wrapped):
    def forward(self, x):
        return super().forward(x)


class TwoInputs(Wrapped):
    def forward(self, x, y):
        return super().forward(x, y)


def ids_and_mask(shape, _):
    mask = torch.ones(shape, dtype=torch.int64)
    if shape[0] > 1:
        mask[-1, shape[1] // 2 + 1 :] = 0
    return torch.randint(1, 100, shape), mask


def text(kind, auto=AutoModel, **options):
    def make():
        causal = auto is AutoModelForCausalLM
        config = AutoConfig.for_model(kind, **{**SMALL, **options})
        model = auto.from_config(config)
        return TwoInputs(model, "input_ids", "attention_mask", **({"use_cache": False} if causal else {}))

    return make


def seq2seq_encoder(kind, **options):
    def make():
        model = AutoModel.from_config(AutoConfig.for_model(kind, **options))
        return TwoInputs(model.get_encoder(), "input_ids", "attention_mask")

    return make


def vision(kind, **options):
    def make():
        return OneInput(AutoModel.from_config(AutoConfig.for_model(kind, **options)), "pixel_values")

    return make


def small_vision(kind, **options):
    common = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=64, patch_size=16)
    return vision(kind, **{**common, **options})


def speech():
    config = AutoConfig.for_model(
        "wav2vec2", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        conv_dim=[16] * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )
    return OneInput(AutoModel.from_config(config), "input_values")


def whisper():
    config = AutoConfig.for_model(
        "whisper", d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64, decoder_layers=1,
        decoder_attention_heads=4, decoder_ffn_dim=64, num_mel_bins=16, max_source_positions=50, vocab_size=100,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )
    return OneInput(AutoModel.from_config(config).get_encoder(), "input_features")


def models(Ranges, sizes):
    """By name: what makes the model, its inputs and its ranges."""
    texts = Ranges(
        {"batch": sizes(1, 2, 8, 3), "length": sizes(2, 16, 64, 37)}, [["batch", "length"]] * 2, ids_and_mask
    )
    images = Ranges({"batch": sizes(1, 2, 4, 3)}, [["batch", 3, 64, 64]])
    waves = Ranges({"batch": sizes(1, 2, 4, 3)}, [["batch", 4000]])
    mels = Ranges({"batch": sizes(1, 2, 4, 3)}, [["batch", 16, 100]])
    t5 = dict(d_model=32, d_ff=64, num_layers=2, num_heads=4, d_kv=8, vocab_size=100)
    bart = dict(
        d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=100, max_position_embeddings=64,
    )
    gpt2 = dict(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=100)
    return {
        "hf_bert": (text("bert"), texts),
        "hf_roberta": (text("roberta", max_position_embeddings=80, pad_token_id=0), texts),
        "hf_distilbert": (text("distilbert", dim=32, n_layers=2, n_heads=4, hidden_dim=64), texts),
        "hf_electra": (text("electra", embedding_size=32), texts),
        "hf_albert": (text("albert", embedding_size=16), texts),
        "hf_mpnet": (text("mpnet", max_position_embeddings=80), texts),
        "hf_deberta": (text("deberta-v2"), texts),
        "hf_gpt2": (text("gpt2", AutoModelForCausalLM, **gpt2), texts),
        "hf_gpt_neo": (
            text("gpt_neo", AutoModelForCausalLM, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]]), texts,
        ),
        "hf_opt": (text("opt", AutoModelForCausalLM, ffn_dim=64, word_embed_proj_dim=32), texts),
        "hf_llama": (text("llama", AutoModelForCausalLM, num_key_value_heads=2), texts),
        "hf_qwen2": (text("qwen2", AutoModelForCausalLM, num_key_value_heads=2), texts),
        "hf_t5_encoder": (seq2seq_encoder("t5", **t5), texts),
        "hf_bart_encoder": (seq2seq_encoder("bart", **bart), texts),
        "hf_vit": (small_vision("vit"), images),
        "hf_deit": (small_vision("deit"), images),
        "hf_beit": (small_vision("beit", use_relative_position_bias=True), images),
        "hf_dinov2": (small_vision("dinov2"), images),
        "hf_convnext": (vision("convnext", hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 2, 1], image_size=64), images),
        "hf_segformer": (vision("segformer", hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1]), images),
        "hf_swin": (vision("swin", image_size=64, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4), images),
        "hf_clip_vision": (small_vision("clip_vision_model"), images),
        "hf_wav2vec2": (speech, waves),
        "hf_whisper_encoder": (whisper, mels),
    }
