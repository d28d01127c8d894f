// Somebody of the fixtures is rung whom nobody has rung yet, and what their telephone does meanwhile.
import { expect } from "@playwright/test";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ask, type Lang } from "./support";

const PATIENTS = resolve(import.meta.dirname, "../../fixtures/patients.csv");

const DAYS_MS = 24 * 3_600_000;

/** Enrols a patient of `fixtures/patients.csv` whose call is due, and gives the call that comes of it. */
export async function ring(number: string, lang: Lang): Promise<string> {
  const rows = readFileSync(PATIENTS, "utf8").split("\n").map((row) => row.split(","));
  const [head, row] = [rows[0]!, rows.find(([own]) => own === number)!];
  const cell = (name: string) => row[head.indexOf(name)]!;
  const { now } = await ask<{ now: string }>("/site");
  const stay = {
    encounter: `ring-${number}`,
    pathway: "cardiac",
    ward: "7B",
    discharged_at: new Date(Date.parse(now) - 3 * DAYS_MS).toISOString(),
  };
  const who = { number, name: cell("name"), birth_date: cell("birth_date"), phone: cell("phone"), zone: cell("zone"), lang };
  const patient = { ...who, hearing: "normal", consent: { basis: "written", recording: true }, contacts: [], stay };
  const { id } = await ask<{ id: string }>("/patients", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(patient),
  });
  // Nobody is rung while the ears are behind with others.
  const attempts = async () => (await ask<{ items: { id: string }[] }>(`/patients/${id}/attempts`)).items;
  await expect.poll(async () => (await attempts()).length, { timeout: 120_000 }).toBe(1);
  return (await attempts())[0]!.id;
}

/** A line of the telephones' log, and when it came. */
export interface Told {
  at: number;
  event: string;
  phone?: string;
}

/** What the telephones do from now on; `stop` gives it. */
export function watchPhones(): { told: Told[]; stop(): Told[] } {
  const file = openSync(join(dirname(process.env["AFTERCALL_DATABASE"]!), "phones.jsonl"), "r");
  const told: Told[] = [];
  const buffer = Buffer.alloc(1 << 16);
  let rest = "";
  const read = (): string => {
    const length = readSync(file, buffer, 0, buffer.length, null);
    return buffer.toString("utf8", 0, length);
  };
  while (read().length > 0);
  const look = () => {
    const at = Date.now();
    const lines = (rest + read()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) told.push({ ...(JSON.parse(line) as Omit<Told, "at">), at });
  };
  const timer = setInterval(look, 5);
  return {
    told,
    stop() {
      clearInterval(timer);
      closeSync(file);
      return told;
    },
  };
}
