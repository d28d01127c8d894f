// Somebody is rung while a nurse looks on: the call appears, and its words come as they are said.
import { expect, test } from "@playwright/test";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { ask, be, open, type Lang } from "./support";

/** Two whose telephones stand in `fixtures/phones` and whom nobody has rung yet. */
const CALLEES = {
  zh: { number: "RH10004", name: "周桂兰", birth_date: "1955-02-16", phone: "+8613800001004", zone: "Asia/Shanghai" },
  en: { number: "RH10021", name: "Margaret Lim", birth_date: "1952-05-20", phone: "+6580001021", zone: "Asia/Singapore" },
};

const DAYS_MS = 24 * 3_600_000;

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  test(`a nurse sees a call go on (${lang})`, async ({ page }) => {
    test.setTimeout(180_000);
    await be(page, "li.na");
    await open(page, lang, "/live");
    await expect(page.getByRole("heading", { name: text.live.title })).toBeVisible();

    const { now } = await ask<{ now: string }>("/site");
    const stay = { encounter: `live-${lang}`, pathway: "cardiac", ward: "7B", discharged_at: new Date(Date.parse(now) - 3 * DAYS_MS).toISOString() };
    const patient = { ...CALLEES[lang], lang, hearing: "normal", consent: { basis: "written", recording: true }, contacts: [], stay };
    const { id } = await ask<{ id: string }>("/patients", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(patient),
    });

    const attempts = async () => (await ask<{ items: { id: string }[] }>(`/patients/${id}/attempts`)).items;
    await expect.poll(async () => (await attempts()).length, { timeout: 30_000 }).toBe(1);
    const attempt = (await attempts())[0]!.id;
    const call = page.locator(`.live > [data-call="${attempt}"]`);
    await expect(call).toContainText(text.callState["talking"]!, { timeout: 30_000 });
    await expect(call.locator(".said")).toBeVisible({ timeout: 60_000 });
    const shown = await call.locator(".said").innerText();
    const { turns } = await ask<{ turns: { reply: { text: string } | null }[] }>(`/calls/${attempt}`);
    const said = turns.flatMap(({ reply }) => (reply ? [reply.text] : []));
    expect(said.map((words) => `“${words}”`)).toContain(shown);
  });
}
