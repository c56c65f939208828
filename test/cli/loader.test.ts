import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import t from "tap";
import { makeFakeGpu } from "../backends/tensorrt/fake-gpu/make.js";
import { startReal } from "./project.js";

// TensorRT opens the library of its kernels by name. The SDK stands in a folder that the loader is not told of.

const folder = t.testdir({ cuda: {}, sdk: { lib: {} } });
const libraries = await makeFakeGpu(join(folder, "cuda"));
for (const name of ["libnvinfer.so.10", "libnvinfer_builder_resource.so.10.6.0"]) {
  renameSync(join(libraries, name), join(folder, "sdk/lib", name));
}
const model = fileURLToPath(new URL("../fixtures/models/lenet/export.pt2", import.meta.url));
const env = { LD_LIBRARY_PATH: libraries, TENSORRT_ROOT: join(folder, "sdk") };

t.test("a job's process finds the kernels beside the library", async (t) => {
  const project = join(folder, "project");
  mkdirSync(project);
  const config = { version: 1, backend: "tensorrt", targets: ["device"], models: [{ source: model }] };
  writeFileSync(join(project, "trtorch.config.yaml"), JSON.stringify(config));
  const { code, stdout } = await startReal(project, [], env).finished;
  t.equal(code, 1);
  t.match(stdout, "TensorRT 10.6.0 could not create a builder");
  t.match(stdout, "the fake has its kernels");
});

t.test("in a process that somebody else started they are not found: what to do", async (t) => {
  const index = new URL("../../src/index.ts", import.meta.url);
  const script = `import { compile } from ${JSON.stringify(index.href)};
    const thrown = await compile(${JSON.stringify(model)}, { backend: "tensorrt" }).catch((error) => error);
    console.log(JSON.stringify({ ...thrown, message: thrown.message }));`;
  const { stdout } = await execa(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script], {
    env,
  });
  t.match(JSON.parse(stdout), {
    code: "library",
    message: /Unable to load library: libnvinfer_builder_resource/,
    hint: "TensorRT opens this library by its name alone: start the process with its folder in LD_LIBRARY_PATH.",
  });
});
