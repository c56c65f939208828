import { execFile } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { tensorrtAddon } from "../../../src/backends/tensorrt/addon.js";
import { doctor } from "../../../src/backends/tensorrt/doctor.js";
import { FLAVOURS } from "../../../src/backends/tensorrt/flavour.js";
import { findHeaders, headersFlavour } from "../../../src/backends/tensorrt/headers.js";
import { setup } from "../../../src/backends/tensorrt/setup.js";
import { packageRoot } from "../../../src/util/native-addon.js";

t.test("every flavour compiles, and a second setup finds it all there", async (t) => {
  await setup({ flavours: FLAVOURS });
  const lines: string[] = [];
  const result = await setup({ flavours: FLAVOURS, onLine: (line) => lines.push(line) });
  t.same(lines, []);
  t.same(result.flavours, FLAVOURS);
  t.match(result.library, /libtensorrt_rtx\.so\.1$/);
  for (const flavour of FLAVOURS) t.equal(tensorrtAddon(flavour).flavour, flavour);
  t.same(
    FLAVOURS.map((flavour) => tensorrtAddon(flavour).headersVersion.split(".")[0]),
    ["1", "10", "11"],
  );
});

t.test("a library of another release is refused before it is used", async (t) => {
  const { library } = await setup({ flavours: ["rtx", "trt10"] });
  await t.rejects(tensorrtAddon("trt10").libraryVersion(library as string), {
    code: "missing-library",
    message: /is release 1\.7\.\d+, and this addon was compiled for TensorRT 10\.\d+\.\d+$/,
  });
});

t.test("headers say which flavour they are", async (t) => {
  const sdk = t.testdir({
    rtx: { "NvInferVersion.h": "#define TRT_MAJOR_RTX 1 //!< major\n" },
    eleven: { "NvInferVersion.h": "#define TRT_MAJOR_ENTERPRISE 11\n#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE\n" },
    ten: { include: { "NvInferVersion.h": "#define NV_TENSORRT_MAJOR 10 //!< TensorRT major version.\n" } },
    nine: { "NvInferVersion.h": "#define NV_TENSORRT_MAJOR 9\n" },
  });
  t.equal(await headersFlavour(join(sdk, "rtx")), "rtx");
  t.equal(await headersFlavour(join(sdk, "eleven")), "trt11");
  t.equal(await headersFlavour(join(sdk, "nine")), undefined);
  t.equal(await headersFlavour(join(sdk, "nothing")), undefined);
  process.env.TENSORRT_ROOT = join(sdk, "ten");
  t.equal(await findHeaders("trt10"), join(sdk, "ten/include"));
  delete process.env.TENSORRT_ROOT;
});

/**
 * Runs `setup` in a copy of the package that nothing was compiled in, with only the tools in `tools` on the PATH; gives
 * the error it prints. `files` are put beside the copy: its `cache/` is the cache, its `home/` cargo's.
 */
async function setupWith(t: Test, tools: Record<string, string>, files: Record<string, string> = {}) {
  const folder = t.testdir({ bin: {}, home: {}, cache: {}, package: {} });
  for (const [name, script] of Object.entries(tools)) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  const copy = join(folder, "package");
  for (const name of ["package.json", "src", "native/src", "native/CMakeLists.txt", "native/package.json"]) {
    cpSync(join(packageRoot, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(packageRoot, "node_modules"), join(copy, "node_modules"));
  const code = `import("./src/backends/tensorrt/setup.ts").then((m) => m.setup()).catch((e) => console.log(JSON.stringify({ code: e.code, message: e.message, hint: e.hint })))`;
  const { TENSORRT_ROOT: _, TRTORCH_TENSORRT_RTX_ROOT: __, LD_LIBRARY_PATH: ___, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "-e", code], {
    cwd: copy,
    env: {
      ...env,
      PATH: join(folder, "bin"),
      HOME: join(folder, "home"),
      CARGO_HOME: join(folder, "home"),
      TRTORCH_CACHE: join(folder, "cache"),
    },
  });
  return JSON.parse(stdout) as { code: string; message: string; hint: string };
}

t.test("without pip, with a failing pip, without cargo: what is missing and what to do", async (t) => {
  t.match(await setupWith(t, {}), {
    code: "missing-library",
    message: /^pip is not installed/,
    hint: /Install Python 3 with pip/,
  });
  t.match(
    await setupWith(t, {
      python3: "echo 'No module named pip' >&2; exit 1",
      pip3: "echo 'ERROR: no route to host' >&2; exit 1",
    }),
    {
      code: "missing-library",
      message: /pip could not install tensorrt-rtx-cu13-libs: ERROR: no route to host/,
      hint: /PIP_INDEX_URL/,
    },
  );
  // A pip that installs an empty library where it is told to.
  const pip =
    'while [ "$1" != --target ]; do shift; done; /bin/mkdir -p "$2/tensorrt_rtx_libs"; : > "$2/tensorrt_rtx_libs/libtensorrt_rtx.so.1"';
  t.match(await setupWith(t, { python3: pip }), {
    code: "missing-library",
    message: /^cargo is not installed/,
    hint: /TENSORRT_ROOT/,
  });
  t.match(await setupWith(t, { python3: pip, cargo: "echo 'error: could not find trtx-sys' >&2; exit 101" }), {
    message: /cargo could not fetch trtx-sys .*could not find trtx-sys/,
  });
});

const LIBRARY = { "cache/tensorrt-rtx-1.7.1.116/tensorrt_rtx_libs/libtensorrt_rtx.so.1": "" };
const HEADERS = "home/registry/src/index/trtx-sys-0.9.1+rtx1.7/TensorRT-Headers/TRT-RTX-1.7";

t.test("headers that were changed are refused", async (t) => {
  const changed = { [`${HEADERS}/NvInferVersion.h`]: "#define TRT_MAJOR_RTX 1\n", [`${HEADERS}/NvInfer.h`]: "" };
  t.match(await setupWith(t, {}, { ...LIBRARY, ...changed }), {
    code: "missing-library",
    message: /are not the ones known: SHA-256/,
  });
});

t.test("without a compiler, without cmake", async (t) => {
  const fetched = {
    ...LIBRARY,
    "cache/headers-rtx-0.9.1+rtx1.7/TRT-RTX-1.7/NvInferVersion.h": "#define TRT_MAJOR_RTX 1\n",
  };
  const hint = /apt install cmake g\+\+/;
  t.match(await setupWith(t, {}, fetched), { message: /cannot be compiled: a C\+\+ compiler is not installed/, hint });
  const tools = { "c++": "exit 0", "g++": "exit 0", ninja: "exit 0" };
  t.match(await setupWith(t, tools, fetched), { message: /cannot be compiled: cmake is not installed/, hint });
});

t.test("doctor: what this machine can build, and why not the rest", async (t) => {
  const report = await doctor();
  t.same(JSON.parse(JSON.stringify(report)).flavours.length, FLAVOURS.length);
  const rtx = report.flavours.find(({ flavour }) => flavour === "rtx");
  t.same(rtx?.problems, []);
  t.ok(rtx?.targets.includes("sm_89"));
  t.match(rtx?.library, { version: /^1\.7\./ });
  t.match(rtx?.addon, { file: /trtorch_rtx\.node$/, headersVersion: /^1\.7\./ });
  t.equal(report.devices.length === 0, report.noDevice !== null);
  for (const { targets, problems } of report.flavours) t.equal(targets.length > 0, problems.length === 0);
  t.ok(report.tools.some(({ name, version }) => name === "cmake" && version !== null));
});
