import type { ObjectValue } from "./constant.js";
import type { Graph } from "./graph.js";
import type { InputSpec } from "./input-spec.js";

/**
 * A program as a front end reads it: what TorchScript's `torch::jit::Module` is. torch.export programs become one with
 * a single method whose graph has no `self`.
 */
export interface Program {
  /** The file it came from. */
  readonly file: string;
  readonly format: "torchscript" | "exported";
  /** Qualified class name of the root module, e.g. `__torch__.torchvision.models.resnet.ResNet`. */
  readonly typeName: string;
  /** The root module with its attributes; for a frozen or exported program without attributes. */
  readonly root: ObjectValue;
  /** Methods of the root module. */
  readonly methodNames: readonly string[];
  /** The graph of a method of any class of the program, its first input `self`; built when first asked for. */
  method(typeName: string, name: string): Graph;
  /** The graph of a free function by qualified name. */
  function(qualifiedName: string): Graph;
  /** What the file itself says about the inputs of a method: exported programs know, TorchScript does not. */
  inputs(method: string): readonly InputSpec[] | undefined;
  /** Names of tensor inputs and outputs in order, where the file says them (exported programs). */
  readonly signature?: { readonly inputs: readonly string[]; readonly outputs: readonly string[] };
}
