// QA's day in both languages: a call is found, heard on both sides, followed in its transcript, and reviewed blind by two;
// then one item of the audit sample is decided.
import { expect, test, type Page } from "@playwright/test";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import type { Name } from "./staff";
import { ask, be, open, type Lang } from "./support";

interface Call {
  attempt: { id: string; patient: string; lang: string };
  turns: { index: number; prompt_from_ms: number; reply: { text: string; from_ms: number; latency_ms: number | null } | null }[];
  findings: { concept: string; polarity: string; from_ms: number }[];
}
interface Site {
  concepts: { id: string; zh: string; en: string }[];
}

/** A call in which something was found, in this language. */
async function heardCall(lang: Lang): Promise<Call> {
  const { items } = await ask<{ items: { attempt: { id: string; lang: string; state: string }; found: string[] }[] }>("/calls/search", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ answered: true }),
  });
  const line = items.find(({ attempt, found }) => attempt.lang === lang && attempt.state === "ended" && found.length > 0)!;
  return ask<Call>(`/calls/${line.attempt.id}`);
}

/** Where the player stands, in milliseconds. */
const at = async (page: Page) => Number(await page.locator(".player").getAttribute("data-at"));

/** Scores every criterion with its first option and says of the first finding what is wrong or right. */
async function fillIn(page: Page, text: typeof zh, is: "right" | "wrong") {
  const review = page.getByRole("region", { name: text.qa.review });
  await review.locator(".finding").first().getByRole("radio", { name: text.qa[is], exact: true }).check();
  const criteria = review.locator("fieldset");
  for (let nth = 0; nth < (await criteria.count()); nth += 1) await criteria.nth(nth).getByRole("radio").first().check();
}

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  test(`QA hears a call, follows it and reviews it (${lang})`, async ({ page }) => {
    const call = await heardCall(lang);
    const patient = await ask<{ number: string }>(`/patients/${call.attempt.patient}`);
    await be(page, "wang.min");
    await open(page, lang, "/qa");
    await page.getByLabel(text.qa.patient).fill(patient.number);
    const searched = page.waitForResponse((response) => response.url().endsWith("/calls/search") && response.request().postData()!.includes(patient.number));
    await page.getByLabel(text.qa.patient).press("Enter");
    await searched;
    await expect(page.locator("tbody tr")).toHaveCount(1);
    expect(page.url(), "no number in an address").not.toContain(patient.number);
    await page.locator("tbody a").click();

    await expect(page.locator(".wave .drawn")).toBeVisible();
    const turn = call.turns.find((one) => one.reply?.latency_ms != null)!;
    const row = page.locator(`[data-turn="${turn.index}"]`);
    await expect(row).toContainText(text.qa.latency(turn.reply!.latency_ms!));
    await row.locator("button.time").last().click();
    await expect(page.getByRole("button", { name: text.order.stop })).toBeVisible();
    await expect.poll(() => at(page)).toBeGreaterThan(turn.reply!.from_ms);
    expect(await at(page)).toBeLessThan(turn.reply!.from_ms + 8000);
    await expect(page.locator(".turns li[aria-current=true]")).toHaveCount(1);
    await page.keyboard.press("p");
    await expect(page.getByRole("button", { name: text.qa.play }).first()).toBeVisible();

    await fillIn(page, text, "wrong");
    await page.getByRole("button", { name: text.qa.markMissed }).click();
    await row.locator("button.word").first().click();
    const { concepts } = await ask<Site>("/site");
    const fever = concepts.find((one) => one.id === "fever")![lang];
    await page.getByRole("dialog").getByRole("combobox").fill(fever);
    await page.getByRole("dialog").getByRole("combobox").press("Enter");
    await page.getByRole("dialog").getByRole("button", { name: text.save }).click();
    await expect(page.locator("[data-missed=fever]")).toContainText(fever);
    await page.getByRole("button", { name: text.qa.give }).click();
    await expect(page.getByRole("button", { name: text.qa.change })).toBeVisible();

    await asOther(page, "zhou.lan");
    await page.goto(`${new URL(page.url()).origin}/qa/call/${call.attempt.id}`);
    await expect(page.getByText(text.qa.blind)).toBeVisible();
    await expect(page.getByText("wang.min")).toHaveCount(0);
    await fillIn(page, text, "right");
    await page.getByRole("button", { name: text.qa.give }).click();
    await expect(page.getByText(text.qa.compared)).toBeVisible();
    await expect(page.getByText("wang.min")).toBeVisible();

    await page.getByRole("link", { name: text.qa.agreement }).click();
    const findings = page.locator("tr", { hasText: text.qa.aboutFindings });
    await expect(findings.locator("td").nth(1)).not.toHaveText("0");
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: text.qa.rowsOf[lang] }).click();
    expect((await download).suggestedFilename()).toBe(`rows.${lang}.tsv`);
  });

  test(`QA decides an item of the audit sample (${lang})`, async ({ page }) => {
    await be(page, "wang.min");
    await open(page, lang, "/qa/sample");
    const left = (await ask<{ items: object[] }>("/audit/items?state=open&limit=200")).items.length;
    await page.locator("tbody a").first().click();
    const item = (await page.locator("[data-item]").getAttribute("data-item"))!;
    await page.getByRole("radio", { name: text.qa.verdict["right"]! }).check();
    await page.getByRole("button", { name: text.qa.decide }).click();
    await expect(page.locator(`[data-item="${item}"]`)).toHaveCount(0);
    const open_ = await ask<{ items: { id: string }[] }>("/audit/items?state=open&limit=200");
    expect([open_.items.length, open_.items.some(({ id }) => id === item)]).toEqual([left - 1, false]);
  });
}

async function asOther(page: Page, name: Name) {
  await page.context().clearCookies();
  await be(page, name);
}
