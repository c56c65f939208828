import { execFile } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { tensorrtAddon } from "../../../src/backends/tensorrt/addon.js";
import { doctor } from "../../../src/backends/tensorrt/doctor.js";
import { FLAVOURS } from "../../../src/backends/tensorrt/flavour.js";
import { findHeaders, hasHeaders, readHeaders } from "../../../src/backends/tensorrt/headers.js";
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

const ten = (minor: number): string =>
  `#define NV_TENSORRT_MAJOR 10 //!< TensorRT major version.\n#define NV_TENSORRT_MINOR ${minor} //!< minor version.\n`;

t.test("headers say which flavour they are", async (t) => {
  const eleven = "#define TRT_MAJOR_ENTERPRISE 11\n#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE\n";
  const fourteen = `${eleven.replace("11", "10")}#define TRT_MINOR_ENTERPRISE 14\n`;
  const sdk = t.testdir({
    rtx: { "NvInferVersion.h": "#define TRT_MAJOR_RTX 1 //!< major\n" },
    eleven: { "NvInferVersion.h": eleven },
    fourteen: { "NvInferVersion.h": fourteen },
    thirteen: { "NvInferVersion.h": ten(13) },
    nine: { "NvInferVersion.h": "#define NV_TENSORRT_MAJOR 9\n" },
  });
  t.same(await readHeaders(join(sdk, "rtx")), { flavour: "rtx", usable: true });
  t.same(await readHeaders(join(sdk, "eleven")), { flavour: "trt11", usable: true });
  t.same(await readHeaders(join(sdk, "fourteen")), { flavour: "trt10", usable: true });
  t.same(await readHeaders(join(sdk, "thirteen")), { flavour: "trt10", usable: false });
  t.equal(await readHeaders(join(sdk, "nine")), undefined);
  t.equal(await readHeaders(join(sdk, "nothing")), undefined);
});

t.test("an SDK's headers come before those fetched, unless the addon does not compile against them", async (t) => {
  const folder = t.testdir({
    ten: { include: { "NvInferVersion.h": ten(14) } },
    old: { include: { "NvInferVersion.h": ten(6) } },
    cache: { "headers-trt10-0.5.0": { "TRT-Enterprise-10.16": { "NvInferVersion.h": ten(16) } } },
  });
  const before = { ...process.env };
  t.teardown(() => {
    for (const name of ["TENSORRT_ROOT", "TRTORCH_CACHE"]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });
  process.env.TRTORCH_CACHE = join(folder, "cache");
  process.env.TENSORRT_ROOT = join(folder, "ten");
  t.equal(await findHeaders("trt10"), join(folder, "ten/include"));
  process.env.TENSORRT_ROOT = join(folder, "old");
  t.equal(await findHeaders("trt10"), join(folder, "cache/headers-trt10-0.5.0/TRT-Enterprise-10.16"));
  process.env.TRTORCH_CACHE = join(folder, "nothing");
  t.not(await findHeaders("trt10"), join(folder, "old/include"));
  t.equal(await hasHeaders("trt10"), true, "a reason to fetch newer ones");
});

/**
 * Runs a script in a copy of the package that nothing was compiled in, with only the tools in `tools` on the PATH; gives
 * what it prints as JSON. `files` are put beside the copy, which is `package/`: `cache/` is the cache, `home/` cargo's,
 * `sdk/` an SDK that TENSORRT_ROOT names.
 */
async function inCopy<T>(t: Test, script: string, tools: Record<string, string>, files: Record<string, string>) {
  const folder = t.testdir({ bin: {}, home: {}, cache: {}, package: {} });
  for (const [name, content] of Object.entries(tools)) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${content}\n`, { mode: 0o755 });
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
  const { TRTORCH_TENSORRT_RTX_ROOT: _, LD_LIBRARY_PATH: __, ...env } = process.env;
  const arguments_ = ["--import", "tsx", "--input-type=module", "-e", script];
  const { stdout } = await promisify(execFile)(process.execPath, arguments_, {
    cwd: copy,
    env: {
      ...env,
      PATH: join(folder, "bin"),
      HOME: join(folder, "home"),
      CARGO_HOME: join(folder, "home"),
      TRTORCH_CACHE: join(folder, "cache"),
      TENSORRT_ROOT: join(folder, "sdk"),
    },
  });
  return JSON.parse(stdout) as T;
}

/** The error of a `setup` in such a copy, and what it said before. */
function setupWith(t: Test, tools: Record<string, string>, files: Record<string, string> = {}) {
  const script = `
    const { setup } = await import("./src/backends/tensorrt/setup.ts");
    const lines = [];
    await setup({ onLine: (line) => lines.push(line) }).catch(({ code, message, hint }) =>
      console.log(JSON.stringify({ code, message, hint, lines })));`;
  return inCopy<{ code: string; message: string; hint: string; lines: string[] }>(t, script, tools, files);
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

t.test(
  "an SDK with headers that are too old, and no cargo to fetch others: TensorRT-RTX is compiled alone",
  async (t) => {
    const { message, lines } = await setupWith(
      t,
      {},
      {
        ...LIBRARY,
        "cache/headers-rtx-0.9.1+rtx1.7/TRT-RTX-1.7/NvInferVersion.h": "#define TRT_MAJOR_RTX 1\n",
        "sdk/include/NvInferVersion.h": ten(6),
      },
    );
    t.match(message, "cannot be compiled", "there are no tools here");
    t.match(lines.slice(-2), [
      /^TensorRT 10 is left out: cargo is not installed/,
      "compiling the native addon for TensorRT-RTX 1",
    ]);
  },
);

t.test("headers of another release in the same folder are compiled against", async (t) => {
  const include = "cache/headers-rtx-0.9.1+rtx1.7/TRT-RTX-1.7";
  const compiler = "package/src/node_modules/cmake-js";
  const files = {
    ...LIBRARY,
    [`${include}/NvInferVersion.h`]: "#define TRT_MAJOR_RTX 1\n",
    [`${compiler}/package.json`]: "{}",
    // In place of CMake: it makes empty files, and those of a compiler beside them.
    [`${compiler}/bin/cmake-js`]: `const { mkdirSync, writeFileSync } = require("node:fs");
      const out = process.argv[process.argv.indexOf("--out") + 1];
      mkdirSync(out + "/CMakeFiles/trtorch_rtx.dir", { recursive: true });
      mkdirSync(out + "/Release", { recursive: true });
      for (const name of ["core", "rtx"]) writeFileSync(out + "/Release/trtorch_" + name + ".node", "");`,
  };
  const script = `
    const { existsSync, writeFileSync } = await import("node:fs");
    const { setup } = await import("./src/backends/tensorrt/setup.ts");
    const seen = [];
    const round = () => setup({ flavours: ["rtx"], onLine: (line) => seen.push(line) });
    await round();
    await round();
    writeFileSync("../${include}/NvInferVersion.h", "#define TRT_MAJOR_RTX 1\\n#define TRT_MINOR_RTX 8\\n");
    writeFileSync("native/build/CMakeFiles/trtorch_rtx.dir/old.o", "");
    await round();
    console.log(JSON.stringify({ seen, kept: existsSync("native/build/CMakeFiles/trtorch_rtx.dir/old.o") }));`;
  t.same(await inCopy(t, script, {}, files), {
    seen: new Array(2).fill("compiling the native addon for TensorRT-RTX 1"),
    kept: false,
  });
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
