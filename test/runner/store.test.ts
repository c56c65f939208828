import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { Store, type StoreKey } from "../../src/runner/store.js";

const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");
const key = (name: string): StoreKey => `job-${sha256(name)}`;

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A plain object server; `behaviour` may be changed by a test. */
async function objectServer(t: { teardown(end: () => void): void }) {
  const objects = new Map<string, Buffer>();
  const requests: string[] = [];
  const behaviour = { fail: false, corrupt: false };
  const server = createServer(async (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = request.url as string;
    if (behaviour.fail) response.writeHead(503, "Busy").end();
    else if (request.method === "PUT") {
      objects.set(url, Buffer.concat(chunks));
      response.writeHead(201).end();
    } else if (!objects.has(url)) response.writeHead(404).end();
    else {
      const body = Buffer.from(objects.get(url) as Buffer);
      if (behaviour.corrupt && url.includes("/blobs/")) body[0] = (body[0] as number) ^ 1;
      response.writeHead(200).end(request.method === "HEAD" ? undefined : body);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return { location: `http://127.0.0.1:${(server.address() as AddressInfo).port}/cache`, objects, requests, behaviour };
}

const none = (message: string) => {
  throw new Error(message);
};

t.test("put, get, read, restore", async (t) => {
  const dir = t.testdir({ store: {}, in: { "engine.trt": "an engine" }, out: {} });
  const store = new Store({ directory: join(dir, "store"), remotes: [] }, none);
  t.equal(await store.get(key("a")), null);
  const engine = { path: join(dir, "in/engine.trt"), size: 9, sha256: sha256("an engine") };
  await store.put(
    key("a"),
    [
      { name: "engine.trt", content: engine },
      { name: "sub/report.json", content: "{}" },
      { name: "empty", content: new Uint8Array() },
    ],
    { made: "yes" },
  );
  const entry = await store.get(key("a"));
  t.ok(entry);
  if (entry === null) return;
  t.same(entry.metadata, { made: "yes" });
  t.same(await store.read(entry, "engine.trt"), Buffer.from("an engine"));
  t.equal(await store.read(entry, "nothing"), null);
  t.equal(await store.restore(entry, join(dir, "out")), true);
  t.equal(readFileSync(join(dir, "out/sub/report.json"), "utf8"), "{}");
  t.equal(readFileSync(join(dir, "out/empty"), "utf8"), "");
  await t.rejects(store.put(key("b"), [{ name: "x", content: { ...engine, sha256: sha256("other") } }], null));
  t.equal(await store.get(key("b")), null, "nothing kept of a file that is not what it should be");
});

t.test("a damaged or truncated content is a miss and can be put again", async (t) => {
  const dir = t.testdir({ store: {}, out: {} });
  const store = new Store({ directory: join(dir, "store"), remotes: [] }, none);
  const content = "x".repeat(100);
  for (const damage of ["y".repeat(100), "x".repeat(50)]) {
    await store.put(key("a"), [{ name: "f", content }], null);
    const entry = await store.get(key("a"));
    t.ok(entry);
    const path = files(join(dir, "store")).find((file) => readFileSync(file, "utf8") === content) as string;
    writeFileSync(path, damage);
    if (entry !== null) t.equal(await store.restore(entry, join(dir, "out")), false);
    t.equal(await store.get(key("a")), null);
  }
  await store.put(key("a"), [{ name: "f", content }], null);
  t.ok(await store.get(key("a")));
});

t.test("prune keeps what was used last", async (t) => {
  const dir = t.testdir({ store: {} });
  const store = new Store({ directory: join(dir, "store"), remotes: [] }, none);
  for (const name of ["a", "b", "c"]) {
    await store.put(key(name), [{ name: "f", content: name.repeat(1000) }], { name });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await store.get(key("a"));
  t.same(await store.statistics(), { entries: 3, size: 3000 });
  t.same(await store.prune(2500), { removed: 1, freed: 1000, kept: 2, size: 2000 });
  t.ok(await store.get(key("a")));
  t.equal(await store.get(key("b")), null);
  t.ok(await store.get(key("c")));
  t.same(await store.prune(0), { removed: 2, freed: 2000, kept: 0, size: 0 });
  t.same(await store.statistics(), { entries: 0, size: 0 });
});

t.test("a remote over HTTP fills another machine's store, once a blob", async (t) => {
  const dir = t.testdir({ one: {}, two: {}, three: {}, out: {} });
  const server = await objectServer(t);
  const remotes = [{ location: server.location, read: true, write: true }];
  await new Store({ directory: join(dir, "one"), remotes }, none).put(key("a"), [{ name: "f", content: "data" }], 1);
  await new Store({ directory: join(dir, "two"), remotes }, none).put(key("b"), [{ name: "g", content: "data" }], 2);
  t.equal(server.requests.filter((r) => r.startsWith("PUT /cache/blobs")).length, 1);

  const three = new Store({ directory: join(dir, "three"), remotes }, none);
  const entry = await three.get(key("a"));
  t.ok(entry);
  if (entry !== null) t.same(await three.read(entry, "f"), Buffer.from("data"));
  const before = server.requests.length;
  t.ok(await three.get(key("a")), "now local");
  t.equal(server.requests.length, before);
});

t.test("a remote that fails is left out with one word, whoever asks it", async (t) => {
  const dir = t.testdir({ three: {} });
  const server = await objectServer(t);
  const remotes = [{ location: server.location, read: true, write: true }];
  const warnings: string[] = [];
  server.behaviour.fail = true;
  const three = new Store({ directory: join(dir, "three"), remotes }, (message) => warnings.push(message));
  await three.put(key("b"), [{ name: "f", content: "other" }], 1);
  t.ok(await three.get(key("b")));
  t.equal(await three.get(key("c")), null);
  t.equal(warnings.length, 1);
  t.match(warnings[0], /^the shared store http.* failed and is left out of this run: the server answered 503 Busy$/);

  const gone = new Store(
    { directory: join(dir, "three"), remotes: [{ location: "http://127.0.0.1:1/x", read: true, write: true }] },
    (message) => warnings.push(message),
  );
  t.same(await Promise.all(["d", "e", "f"].map((name) => gone.get(key(name)))), [null, null, null]);
  t.equal(warnings.length, 2);
  t.match(warnings[1], /ECONNREFUSED|bad port/);
  t.same(gone.settings.remotes, [], "another process need not find out for itself");
});

t.test("what is damaged there is missing, and is made whole when it is built again; all else is had", async (t) => {
  const dir = t.testdir({ share: {} });
  const server = await objectServer(t);
  for (const [form, location] of [
    ["folder", join(dir, "share")],
    ["server", server.location],
  ] as const) {
    const remotes = [{ location, read: true, write: true }];
    const warnings: string[] = [];
    const open = (name: string) =>
      new Store({ directory: join(dir, form, name), remotes }, (message) => warnings.push(message));
    const contents = ["data", "more", "rest", "last"];
    const one = open("one");
    for (const content of contents) await one.put(key(content), [{ name: "f", content }], content);
    const spoil = (content: string, damage: string) => {
      const name = sha256(content);
      server.objects.set(`/cache/blobs/${name}`, Buffer.from(damage));
      if (form === "folder") writeFileSync(join(location, "blobs", name.slice(0, 2), name), damage);
    };
    spoil("data", "dada");
    spoil("more", "mo");
    if (form === "folder") writeFileSync(join(location, "entries", `${key("rest")}.json`), "{");
    server.objects.set(`/cache/entries/${key("rest")}.json`, Buffer.from("{"));

    const two = open("two");
    const had: unknown[] = [];
    for (const content of contents) had.push((await two.get(key(content)))?.metadata);
    t.same(had, [undefined, undefined, undefined, "last"], form);
    t.equal(warnings.length, 1);
    t.match(warnings[0], /^the shared store .* is damaged, and is made whole where it can be: .*[Ii]ntegrity/);
    for (const content of contents) await two.put(key(content), [{ name: "f", content }], content);
    const three = open("three");
    for (const content of contents) t.equal((await three.get(key(content)))?.metadata, content);
    t.equal(warnings.length, 1);
  }
});

t.test("who waits for a remote can be told to stop, and the remote is not blamed", async (t) => {
  const dir = t.testdir({});
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const location = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const remotes = [{ location, read: true, write: true }];
  const store = new Store({ directory: dir, remotes }, none);
  for (const work of [
    (signal: AbortSignal) => store.get(key("a"), signal),
    (signal: AbortSignal) => store.put(key("b"), [{ name: "f", content: "data" }], 1, signal),
  ]) {
    const controller = new AbortController();
    const asked = new Promise((resolve) => server.once("request", resolve));
    const done = work(controller.signal);
    await asked;
    controller.abort();
    await done;
    t.equal(store.settings.remotes.length, 1);
  }
  server.closeAllConnections();
});

t.test("a shared folder", async (t) => {
  const dir = t.testdir({ one: {}, two: {}, share: {} });
  const share = join(dir, "share");
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);
  const remotes = [{ location: share, read: true, write: true }];
  await new Store({ directory: join(dir, "one"), remotes }, warn).put(key("a"), [{ name: "f", content: "data" }], 1);
  t.ok(await new Store({ directory: join(dir, "two"), remotes }, warn).get(key("a")));
  t.same(warnings, []);

  const blob = files(join(share, "blobs"))[0] as string;
  writeFileSync(blob, "dat");
  mkdirSync(join(dir, "fresh"));
  t.equal(await new Store({ directory: join(dir, "fresh"), remotes }, warn).get(key("a")), null);
  t.equal(warnings.length, 1);
  rmSync(share, { recursive: true });
  t.equal(await new Store({ directory: join(dir, "fresh"), remotes }, warn).get(key("a")), null);
  t.match(warnings[1], /ENOENT/);
});

t.test("an entry from outside cannot name files outside", async (t) => {
  const dir = t.testdir({ one: {} });
  const server = await objectServer(t);
  const evil = { files: [{ name: "../x", size: 1, sha256: sha256("x") }], metadata: null };
  server.objects.set(`/cache/entries/${key("a")}.json`, Buffer.from(JSON.stringify(evil)));
  const warnings: string[] = [];
  const store = new Store(
    { directory: join(dir, "one"), remotes: [{ location: server.location, read: true, write: false }] },
    (message) => warnings.push(message),
  );
  t.equal(await store.get(key("a")), null);
  t.match(warnings[0], /names a bad file/);
});
