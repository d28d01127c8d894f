// The hospital of the tests: `aftercall demo` rings some of the fixtures' patients for real, and its API stays up.
//
// Who writes tests need not wait for the calls each time: AFTERCALL_HOSPITAL=FOLDER keeps them there, and a later run
// begins with a copy.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { PASSWORD, STAFF } from "./staff";

export const ROOT = resolve(import.meta.dirname, "../..");

/** Two emergencies (one a language), an urgent order, somebody who asks for a person, well, busy, a machine, refused. */
const CAST = ["RH10001", "RH10002", "RH10008", "RH10013", "RH10020", "RH10022", "RH10023", "RH10031", "RH10033", "RH10036"];

/** Longer than the calls take on two busy cores. */
const PATIENCE_MS = 8 * 60_000;

/** People who talk at once, each to an ear of its own: as many as two cores hear well. */
const LINES = "4";

export const PROGRAM = process.env["AFTERCALL"] ?? join(ROOT, "target/debug/aftercall");

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

export async function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? found(address.port) : failed(new Error("no port"))));
    });
  });
}

/** Accounts are made as the first security admin's is: at the command line. */
export function staff(...words: string[]) {
  const { status, stderr } = spawnSync(PROGRAM, ["staff", ...words], { cwd: ROOT, input: `${PASSWORD}\n`, encoding: "utf8" });
  if (status !== 0) throw new Error(`staff ${words.join(" ")}: ${stderr}`);
}

function hire(data: string) {
  const database = `sqlite://${join(data, "aftercall.db")}`;
  for (const [name, { role, shown }] of Object.entries(STAFF)) {
    staff("add", name, "--role", role, "--display-name", shown, "--database", database);
  }
}

/** The demo's trunk, to a port at which nobody else is. */
export async function trunkOf(folder: string): Promise<string> {
  const trunk = join(folder, "trunk.toml");
  const loopback = readFileSync(join(ROOT, "sip_config/loopback.toml"), "utf8");
  writeFileSync(trunk, loopback.replace("127.0.0.1:5080", `127.0.0.1:${await freePort()}`));
  return trunk;
}

/** Starts the demo in `folder/data`, which an earlier one may have left, and waits until everybody was rung. */
async function begin(folder: string): Promise<ChildProcess> {
  const data = join(folder, "data");
  const again = existsSync(data);
  const trunk = await trunkOf(folder);
  const flags = ["--fixtures", cast(folder), "--trunk", trunk, "--data", data, "--bind", "127.0.0.1:0", "--lines", LINES];
  const demo = spawn(PROGRAM, ["demo", ...flags, ...(again ? ["--resume"] : [])], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.env["AFTERCALL_DATABASE"] = join(data, "aftercall.db");
  const said: string[] = [];
  await new Promise<void>((ready, failed) => {
    const fail = (why: string) => failed(new Error(`${why}:\n${said.slice(-30).join("\n")}`));
    const patience = setTimeout(() => {
      demo.kill("SIGTERM");
      fail("the demo is not ready");
    }, PATIENCE_MS);
    demo.once("error", (error) => fail(`the demo does not start, ${error.message}`));
    demo.once("exit", (code) => fail(`the demo ended with ${code}`));
    createInterface({ input: demo.stdout! }).on("line", (line) => {
      said.push(line);
      const [, url] = /^API: (http:\/\/[\d.:]+)/.exec(line) ?? [];
      if (url) process.env["AFTERCALL_URL"] = url;
      const [, token] = /Bearer (aftercall_[\w-]+)/.exec(line) ?? [];
      if (token) process.env["AFTERCALL_TOKEN"] = token;
      if (line.includes(" differ from what the fixtures expect")) console.error(said.join("\n"));
      if (line.startsWith("Ctrl-C")) {
        clearTimeout(patience);
        ready();
      }
    });
  });
  demo.removeAllListeners("exit");
  if (!again) hire(data);
  return demo;
}

export async function end(demo: ChildProcess) {
  const ended = new Promise((done) => demo.once("exit", done));
  demo.kill("SIGTERM");
  await ended;
}

/** Takes a server that runs (`AFTERCALL_URL`, `AFTERCALL_TOKEN`), or rings everybody anew. */
export default async function setUp(): Promise<(() => Promise<void>) | undefined> {
  if (process.env["AFTERCALL_URL"]) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "aftercall-pages-"));
  const kept = process.env["AFTERCALL_HOSPITAL"];
  if (kept && existsSync(kept)) cpSync(kept, join(folder, "data"), { recursive: true });
  let demo = await begin(folder);
  if (kept && !existsSync(kept)) {
    await end(demo);
    cpSync(join(folder, "data"), kept, { recursive: true });
    rmSync(join(folder, "fixtures"), { recursive: true });
    demo = await begin(folder);
  }
  return async () => {
    await end(demo);
    rmSync(folder, { recursive: true, force: true });
  };
}
