import t from "tap";
import { converter } from "../../src/conversion/registry.js";
import type { ArgumentsOf } from "../../src/conversion/schema-types.js";
import type { Scalar, TensorValue } from "../../src/conversion/values.js";
import type { Dim } from "../../src/network/symbolic.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Fails to compile unless the types are the same; at run time it only counts. */
function same<A, B>(...equal: Same<A, B> extends true ? [] : ["types differ"]): boolean {
  return equal.length === 0;
}

t.test("arguments are inferred from the schema's text", (t) => {
  t.ok(
    same<
      ArgumentsOf<"aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)">,
      { self: TensorValue; other: TensorValue; alpha: Scalar }
    >(),
  );
  t.ok(
    same<
      ArgumentsOf<"aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=[0, 0], int[2] dilation=[1, 1], bool ceil_mode=False) -> Tensor">,
      {
        self: TensorValue;
        kernel_size: readonly number[];
        stride: readonly number[];
        padding: readonly number[];
        dilation: readonly number[];
        ceil_mode: boolean;
      }
    >(),
  );
  t.ok(
    same<
      ArgumentsOf<"aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor">,
      { self: TensorValue; indices: readonly (TensorValue | null)[] }
    >(),
  );
  t.ok(
    same<
      ArgumentsOf<"aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)">,
      { self: TensorValue; dim: number; start: Dim | null; end: Dim | null; step: Dim }
    >(),
  );
  t.ok(
    same<
      ArgumentsOf<"aten::split.sizes(Tensor(a -> *) self, SymInt[] split_size, int dim=0) -> Tensor(a)[]">,
      { self: TensorValue; split_size: readonly Dim[]; dim: number }
    >(),
  );
  t.end();
});

t.test("a converter's schema is parsed as well", (t) => {
  const relu = converter("aten::relu(Tensor self) -> Tensor", (ctx, { self }) =>
    ctx.network.addActivation(self.tensor, "kRELU"),
  );
  t.equal(relu.schema.name, "aten::relu");
  t.equal(relu.schema.arguments[0]?.name, "self");
  const topk = converter(
    "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
    (ctx, { self, k, dim, largest }) => ctx.network.addTopK(self.tensor, largest ? "kMAX" : "kMIN", k, dim),
  );
  t.equal(topk.schema.returns.length, 2);
  t.end();
});

t.test("several results are a tuple, as many as the schema has", (t) => {
  const twice = converter("my::twice(Tensor self) -> (Tensor first, Tensor second)", (ctx, { self }) => {
    const output = ctx.network.addActivation(self.tensor, "kRELU");
    return [output, output];
  });
  t.equal(twice.schema.returns.length, 2);
  // @ts-expect-error one result is missing
  converter("my::twice(Tensor self) -> (Tensor first, Tensor second)", (_, { self }) => [self.tensor]);
  // @ts-expect-error text is no tensor
  converter("my::once(Tensor self) -> Tensor", () => "text");
  t.end();
});
