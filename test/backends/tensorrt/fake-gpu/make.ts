import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { findHeaders } from "../../../../src/backends/tensorrt/headers.js";
import { setup } from "../../../../src/backends/tensorrt/setup.js";

const sources = fileURLToPath(new URL(".", import.meta.url));

/**
 * Compiles a CUDA driver and a TensorRT 10.6 that are fakes into an empty folder, and the addon for them.
 *
 * @returns what LD_LIBRARY_PATH has to be for a process to find them
 */
export async function makeFakeGpu(folder: string): Promise<string> {
  await setup({ flavours: ["trt10"] });
  const headers = (await findHeaders("trt10")) as string;
  writeFileSync(join(folder, "stubs.h"), stubs(headers));
  for (const [file, library] of [
    ["cuda.cc", "libcuda.so.1"],
    ["tensorrt.cc", "libnvinfer.so.10"],
    ["kernels.cc", "libnvinfer_builder_resource.so.10.6.0"],
  ] as const) {
    await execa("c++", [
      ...["-w", "-std=c++17", "-shared", "-fPIC", `-I${folder}`, `-I${headers}`, `-I${dirname(headers)}`],
      ...[join(sources, file), "-o", join(folder, library)],
    ]);
  }
  return folder;
}

/** Every method of the library's interfaces, doing nothing. */
function stubs(headers: string): string {
  const text = readFileSync(join(headers, "NvInferImpl.h"), "utf8").replace(/\/\/.*$/gm, "");
  return ["VRuntime", "VCudaEngine", "VExecutionContext"]
    .map((name) => {
      const body = new RegExp(`class ${name} : public VRoot\\s*\\{([\\s\\S]*?)\\n\\};`).exec(text)?.[1] ?? "";
      // Methods that only some builds of the library have.
      const always = body.replace(/#if[\s\S]*?#endif/g, "");
      const methods = [...always.matchAll(/virtual\s+([^;]*?)\s*=\s*0;/g)].map(([, signature = ""]) => {
        const returned = signature.slice(0, signature.indexOf("("));
        const action = returned.includes("&") ? "std::abort();" : /^void [^*]*$/.test(returned) ? "" : "return {};";
        return `${signature} override { ${action} }`;
      });
      return `struct ${name}Stub : apiv::${name} {\n${methods.join("\n")}\n};\n`;
    })
    .join("");
}
