// A nurse hears a call in Chromium while it goes on: both voices, and how long they take from mouth to ear. Then she takes the
// patient over: her microphone's sound on the line, and how long the patient heard nobody.
import { expect, test } from "@playwright/test";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { find, heard, keepLines, level, listen, RATE, sides } from "./sound";
import { ring, watchPhones } from "./ring";
import { ask, be, open, samples, URL_, type Lang } from "./support";

/** Whom nobody else rings, and their telephones. */
const CALLEES = { zh: { number: "RH10005", phone: "rh10005_chen" }, en: { number: "RH10024", phone: "rh10024_carter" } };

/** The product's goal is 300 ms; a busy machine with two cores that also transcribes is given more. */
const MOST_MS = 1_000;

interface Shown {
  turns: { prompt_from_ms: number }[];
  notes: { kind: string; by: string; from_ms: number; to_ms: number }[];
}

/** What the audit log says was done to a record, and by whom. */
type Done = { who: string; what: string }[];

const place = (ms: number) => Math.round((ms * RATE) / 1_000);

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  test(`a nurse listens in, takes the patient over, hands back and ends the call (${lang})`, async ({ page, browser }) => {
    test.setTimeout(300_000);
    const callee = CALLEES[lang];
    await keepLines(page);
    await be(page, "li.na");
    await open(page, lang, "/live");
    const phones = watchPhones();
    const attempt = await ring(callee.number, lang);
    const call = page.locator(`.live > [data-call="${attempt}"]`);
    const press = (name: string) => call.getByRole("button", { name, exact: true }).press("Enter", { timeout: 30_000 });
    const is = (state: keyof typeof text.live.ear) => expect(call.locator(`[data-ear=${state}]`)).toBeVisible();

    await press(text.live.listen);
    await is("listening");
    await expect(call.getByRole("status")).toHaveText(text.live.ear.listening);
    await listen(page);
    const began = Date.now();
    const speaks = () => phones.told.some(({ phone, event, at }) => phone === callee.phone && event === "says" && at > began + 500);
    await expect.poll(speaks, { timeout: 60_000 }).toBe(true);
    await page.waitForTimeout(3_000);
    const ear = await heard(page);

    await press(text.live.takeOver);
    await is("talking");
    await expect(call.getByRole("status")).toHaveText(text.live.ear.talking);
    await listen(page, "mouth");
    await page.waitForTimeout(5_000);
    const mouth = await heard(page, "mouth");
    await press(text.live.handBack);
    await is("listening");
    await page.waitForTimeout(3_000);
    await press(text.live.takeOver);
    await is("talking");
    await press(text.live.hangUp);
    await page.locator(".ant-popconfirm").getByRole("button", { name: text.live.hangUp }).press("Enter");
    await expect(call).toHaveCount(0, { timeout: 20_000 });

    const told = phones.stop().filter(({ phone }) => phone === callee.phone);
    const answered = told.find(({ event }) => event === "answered")!.at;
    const [line, patient] = sides(await samples(attempt));

    // From the patient's mouth to the nurse's ear: a clip begins when the telephone says so, and its first voice is near.
    const says = told.filter(({ event, at }) => event === "says" && at > ear.at(0) && at < ear.at(ear.samples.length) - 1_500);
    expect(says.length).toBeGreaterThan(0);
    const delays = says.map(({ at }) => {
      const from = Math.max(place(at - answered) - RATE / 5, 0);
      const voiced = patient.slice(from).findIndex((one) => Math.abs(one) > 0.02) + from;
      // Chromium stretches what comes unevenly: of three pieces one came as it was said.
      const pieces = [0, 1, 2].map((nth) => {
        const begins = voiced + (nth * RATE) / 4;
        const { at: place, likeness } = find(patient.slice(begins, begins + RATE / 2), ear.samples);
        return { likeness, heardAt: ear.at(place) - nth * 250 };
      });
      const found = pieces.reduce((best, one) => (one.likeness > best.likeness ? one : best));
      expect(found.likeness).toBeGreaterThan(0.8);
      return Math.round(found.heardAt - at);
    });
    console.log(`mouth to ear (${lang}): ${delays.join(", ")} ms`);
    for (const delay of delays) expect(delay).toBeLessThan(MOST_MS);

    // The robot is heard too, as the patient hears it.
    const first = place(ear.at(0) - answered);
    const pieces = Array.from({ length: 24 }, (_, at) => line.slice(first + at * 4_000, first + (at + 1) * 4_000));
    const loud = pieces.filter((piece) => level(piece) > 0.02).slice(0, 4);
    expect(Math.max(...loud.map((piece) => find(piece, ear.samples).likeness))).toBeGreaterThan(0.8);

    // Who had the patient, and the robot in between.
    const { turns, notes } = await ask<Shown>(`/calls/${attempt}`);
    const spans = notes.filter(({ kind }) => kind === "taken_over");
    expect(spans.map(({ by }) => by)).toEqual(["li.na", "li.na"]);
    const [one, other] = [spans[0]!, spans[1]!];
    expect(turns.some(({ prompt_from_ms: at }) => at >= one.to_ms && at <= other.from_ms)).toBe(true);

    // Her voice is on the line, and in the recording on the robot's side.
    const spoken = mouth.samples.slice(RATE, RATE + 6_000);
    const found = find(spoken, line.slice(place(one.from_ms), place(one.to_ms)));
    expect(found.likeness).toBeGreaterThan(0.8);
    const onLine = answered + one.from_ms + (found.at * 1_000) / RATE;
    console.log(`her mouth to the patient's line (${lang}): ${Math.round(onLine - mouth.at(RATE))} ms`);
    const slot = RATE / 50;
    const gaps = spans.map(({ from_ms }) => {
      let at = place(from_ms);
      while (at < line.length && level(line.slice(at, at + slot)) < 0.01) at += slot;
      return Math.round((at * 1_000) / RATE - from_ms);
    });
    console.log(`silence at take-over (${lang}): ${gaps.join(", ")} ms`);
    for (const gap of gaps) expect(gap).toBeLessThan(MOST_MS);

    const auditor = await browser.newPage();
    await be(auditor, "zheng.ping");
    const asked = await auditor.request.get(`${URL_()}/api/v1/audit/log?subject=${attempt}&who=li.na`);
    const { items } = (await asked.json()) as { items: Done };
    const done = new Set(items.map(({ what }) => what));
    for (const what of ["call.listen_in", "call.take_over", "call.hand_back", "call.hang_up"]) expect(done).toContain(what);
    await auditor.close();
  });
}
