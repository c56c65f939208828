import { converter, operands } from "trtorch-build";

/**
 * An operator of your own, as Python registered it: `torch.library.custom_op("my_ops::scale", ...)`. The schema gives the arguments their
 * names and types; what is returned is the result. To replace a built-in converter, write its operator's schema.
 */
export const scale = converter("my_ops::scale(Tensor x, float by) -> Tensor", (ctx, { x, by }) =>
  ctx.network.addElementWise(x.tensor, operands.constantLike(ctx, x.tensor, by), "kPROD"),
);
