// The hospital of the tests: `aftercall demo` rings some of the fixtures' patients for real, and its API stays up.
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../..");

/** Two emergencies (one a language), an urgent order, somebody who asks for a person, well, busy, a machine, refused. */
const CAST = ["RH10001", "RH10002", "RH10008", "RH10013", "RH10020", "RH10022", "RH10023", "RH10031", "RH10033", "RH10036"];

/** Longer than the calls take on two busy cores. */
const PATIENCE_MS = 8 * 60_000;

function cast(folder: string): string {
  const from = join(ROOT, "fixtures");
  const into = join(folder, "fixtures");
  mkdirSync(into);
  for (const name of ["phones", "audio"]) symlinkSync(join(from, name), join(into, name));
  cpSync(join(from, "do_not_call.csv"), join(into, "do_not_call.csv"));
  const [head, ...rows] = readFileSync(join(from, "patients.csv"), "utf8").split("\n");
  writeFileSync(join(into, "patients.csv"), [head, ...rows.filter((row) => CAST.includes(row.slice(0, 7)))].join("\n") + "\n");
  const [about, ...cases] = readFileSync(join(from, "expected.toml"), "utf8").split(/^(?=\[patient\.)/m);
  const kept = cases.filter((one) => CAST.some((number) => one.startsWith(`[patient.${number}]`)));
  writeFileSync(join(into, "expected.toml"), [about, ...kept].join(""));
  return into;
}

async function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? found(address.port) : failed(new Error("no port"))));
    });
  });
}

async function begin(folder: string): Promise<ChildProcess> {
  const trunk = join(folder, "trunk.toml");
  const loopback = readFileSync(join(ROOT, "sip_config/loopback.toml"), "utf8");
  writeFileSync(trunk, loopback.replace("127.0.0.1:5080", `127.0.0.1:${await freePort()}`));
  const program = process.env["AFTERCALL"] ?? join(ROOT, "target/debug/aftercall");
  const flags = ["--fixtures", cast(folder), "--trunk", trunk, "--data", join(folder, "data"), "--bind", "127.0.0.1:0"];
  const demo = spawn(program, ["demo", ...flags, "--lines", "6"], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const said: string[] = [];
  await new Promise<void>((ready, failed) => {
    const patience = setTimeout(() => failed(new Error(`the demo is not ready:\n${said.slice(-20).join("\n")}`)), PATIENCE_MS);
    demo.once("exit", (code) => failed(new Error(`the demo ended with ${code}:\n${said.slice(-30).join("\n")}`)));
    createInterface({ input: demo.stdout! }).on("line", (line) => {
      said.push(line);
      const [, url] = /^API: (http:\/\/[\d.:]+)/.exec(line) ?? [];
      if (url) process.env["AFTERCALL_URL"] = url;
      const [token] = /aftercall_[\w-]+/.exec(line) ?? [];
      if (token) process.env["AFTERCALL_TOKEN"] = token;
      if (line.startsWith("Ctrl-C")) {
        clearTimeout(patience);
        ready();
      }
    });
  });
  demo.removeAllListeners("exit");
  return demo;
}

/** Takes a server that runs (`AFTERCALL_URL`, `AFTERCALL_TOKEN`), or rings everybody anew. */
export default async function setUp(): Promise<(() => Promise<void>) | undefined> {
  if (process.env["AFTERCALL_URL"]) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "aftercall-pages-"));
  const demo = await begin(folder);
  return async () => {
    const ended = new Promise((done) => demo.once("exit", done));
    demo.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
}
