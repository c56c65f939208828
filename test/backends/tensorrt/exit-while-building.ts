import { buildEngine } from "../../../src/backends/tensorrt/index.js";
import { convolutions } from "./networks.js";

// Run by build.test.ts in a process of its own.
void buildEngine(convolutions(200), { flavour: "rtx", targets: ["sm_89"] });
setTimeout(() => process.exit(3), 300);
