import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { findLibrary, libraryFolders, loaderPath } from "../../../src/backends/tensorrt/library.js";
import { readPlanHeader } from "../../../src/backends/tensorrt/plan-header.js";

const VARIABLES = ["TENSORRT_ROOT", "TRTORCH_TENSORRT_RTX_ROOT", "LD_LIBRARY_PATH", "TRTORCH_CACHE"] as const;

t.beforeEach(() => {
  for (const name of VARIABLES) delete process.env[name];
});

t.test("an SDK before LD_LIBRARY_PATH before what setup fetched", async (t) => {
  const file = () => ({ "libtensorrt_rtx.so.1": "", "libnvinfer.so.10": "" });
  const folder = t.testdir({
    sdk: { lib: file() },
    path: file(),
    cache: { "tensorrt-rtx-1.7.1.116": { tensorrt_rtx_libs: file() } },
  });
  process.env.TRTORCH_CACHE = join(folder, "cache");
  t.equal(findLibrary("rtx"), join(folder, "cache/tensorrt-rtx-1.7.1.116/tensorrt_rtx_libs/libtensorrt_rtx.so.1"));
  process.env.LD_LIBRARY_PATH = `/nothing:${join(folder, "path")}`;
  t.equal(findLibrary("rtx"), join(folder, "path/libtensorrt_rtx.so.1"));
  t.equal(findLibrary("trt10"), join(folder, "path/libnvinfer.so.10"));
  process.env.TENSORRT_ROOT = join(folder, "sdk");
  t.equal(findLibrary("trt10"), join(folder, "sdk/lib/libnvinfer.so.10"));
});

t.test("a file or a folder named by the caller", async (t) => {
  const folder = t.testdir({ "libnvinfer.so.10": "", "libnvinfer.so.10.6.0": "", other: {} });
  t.equal(findLibrary("trt10", folder), join(folder, "libnvinfer.so.10"));
  t.equal(findLibrary("trt10", join(folder, "libnvinfer.so.10.6.0")), join(folder, "libnvinfer.so.10.6.0"));
  t.throws(() => findLibrary("trt10", join(folder, "other")), {
    code: "missing-library",
    hint: "Name libnvinfer.so.10, or the folder that it is in.",
  });
});

t.test("nothing found: where it was looked for, and what to do", async (t) => {
  process.env.TRTORCH_CACHE = t.testdir();
  process.env.LD_LIBRARY_PATH = "/opt/somewhere";
  t.throws(() => findLibrary("trt11"), {
    code: "missing-library",
    message: /^TensorRT 11 was not found: no libnvinfer\.so\.11 in \/opt\/somewhere, /,
    hint: /TENSORRT_ROOT/,
  });
  t.ok(libraryFolders("rtx").includes(join(process.env.TRTORCH_CACHE, "tensorrt-rtx-1.7.1.116/tensorrt_rtx_libs")));
});

t.test("a process that builds with the full TensorRT is started with its folder in LD_LIBRARY_PATH", async (t) => {
  const folder = t.testdir({ sdk: { lib: { "libnvinfer.so.10": "" } } });
  process.env.TRTORCH_CACHE = folder;
  process.env.LD_LIBRARY_PATH = "/somewhere:/else";
  if (libraryFolders("trt10").some((searched) => existsSync(join(searched, "libnvinfer.so.10")))) {
    t.pass("this machine has a TensorRT of its own");
  } else {
    t.equal(loaderPath(), undefined);
  }
  process.env.TENSORRT_ROOT = join(folder, "sdk");
  t.match(loaderPath()?.split(":"), [join(folder, "sdk/lib")]);
  t.match(loaderPath()?.split(":").slice(-2), ["/somewhere", "/else"]);
});

t.test("an engine's first bytes name the library that built it", async (t) => {
  const header = (magic: string, version: number[]): Uint8Array => {
    const bytes = new Uint8Array(64);
    bytes.set(Buffer.from(magic, "latin1"));
    bytes.set(version, 24);
    return bytes;
  };
  t.same(readPlanHeader(header("ftrt", [10, 6, 0, 26])), {
    product: "TensorRT",
    version: "10.6.0.26",
    flavour: "trt10",
  });
  t.same(readPlanHeader(header("vtrt", [1, 7, 1, 116])), {
    product: "TensorRT-RTX",
    version: "1.7.1.116",
    flavour: "rtx",
  });
  t.match(readPlanHeader(header("ftrt", [8, 6, 1, 6])), { version: "8.6.1.6" });
  t.equal(readPlanHeader(header("PK\u0003\u0004", [10, 6, 0, 26])), undefined);
  t.equal(readPlanHeader(new Uint8Array(3)), undefined);
});
