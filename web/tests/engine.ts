// An engine of a test's own, with settings that the hospital of the other tests has not: nobody is rung there.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { end, freePort, PROGRAM, ROOT, staff, trunkOf } from "./demo";

const PATIENCE_MS = 60_000;

export interface Engine {
  url: string;
  /** `aftercall staff` on its database. */
  staff(...words: string[]): void;
  stop(): Promise<void>;
}

/** Starts `aftercall serve` in a fresh folder; `settings` knows where browsers will find it. */
export async function serve(settings: (url: string) => string): Promise<Engine> {
  const folder = mkdtempSync(join(tmpdir(), "aftercall-engine-"));
  const bind = `127.0.0.1:${await freePort()}`;
  const url = `http://${bind}`;
  const trunk = await trunkOf(folder);
  const config = join(folder, "aftercall.toml");
  const own = `data_dir = "${folder}"\n[trunk]\nfile = "${trunk}"\n[web]\nbind = "${bind}"\n`;
  writeFileSync(config, own + settings(url));
  const engine = spawn(PROGRAM, ["serve", "--config", config], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const said: string[] = [];
  await new Promise<void>((ready, failed) => {
    const fail = (why: string) => failed(new Error(`the engine ${why}:\n${said.slice(-30).join("\n")}`));
    const patience = setTimeout(() => {
      engine.kill("SIGKILL");
      fail("is not ready");
    }, PATIENCE_MS);
    engine.once("error", (error) => fail(error.message));
    engine.once("exit", (code) => fail(`ended with ${code}`));
    for (const stream of [engine.stdout, engine.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said.push(line);
        if (!line.startsWith("API on ")) return;
        clearTimeout(patience);
        ready();
      });
    }
  });
  engine.removeAllListeners("exit");
  return {
    url,
    staff: (...words) => staff(...words, "--config", config),
    stop: async () => {
      await end(engine);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
