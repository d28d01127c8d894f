// A nurse's emergency by keyboard alone, in both languages: what she hears is the second that raised the order.
import { expect, test } from "@playwright/test";
import { ALAW } from "../src/audio/recording";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { ask, open, samples, signIn, type Lang } from "./support";

interface Order {
  id: string;
  state: string;
  urgency: string;
  attempt: string;
  outcome: string | null;
  note: string | null;
  causes: { attempt: string; finding: { from_ms: number; evidence: { raw: string } } }[];
}

/** The recording's clock: 8 kHz, both sides. */
const BYTES_A_MS = 16;

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  test(`a nurse acknowledges an emergency by keyboard alone and hears what was said (${lang})`, async ({ page }) => {
    const { items } = await ask<{ items: Order[] }>("/work-orders?state=open");
    const order = items.find((one) => one.urgency === "emergent")!;
    const finding = order.causes[0]!.finding;
    await open(page, lang);
    await signIn(page, "li.na");
    await expect(page).toHaveTitle(new RegExp(`^\\(\\d!\\)`));
    await expect(page.locator(".orders li a").first()).toBeVisible();

    const row = page.locator(`.orders a[href$="${order.id}"]`);
    await expect(async () => {
      await page.keyboard.press("j");
      await expect(row).toBeFocused({ timeout: 100 });
    }).toPass();
    await page.keyboard.press("Enter");
    await expect(page.locator("[data-said]").first()).toContainText(finding.evidence.raw);
    await expect(page.locator("dl")).not.toContainText("···");

    const asked = page.waitForRequest(/\/recording$/);
    await page.keyboard.press("p");
    expect((await asked).headers()["range"]).toMatch(new RegExp(`^bytes=${(finding.from_ms - 2000) * BYTES_A_MS}-`));
    await page.waitForFunction(() => window.heard.length > 0);
    const heard = (await page.evaluate(() => window.heard))[0]!;
    expect(heard.rate).toBe(8000);
    const whole = await samples(order.causes[0]!.attempt);
    const from = (finding.from_ms - 2000) * 8;
    const expected = heard.patient.map((_, at) => ALAW[whole[2 * (from + at) + 1]!]!);
    expect(heard.patient).toEqual(expected);
    const loud = (from: number, to: number) => Math.max(...heard.patient.slice(from * 8, to * 8).map(Math.abs));
    expect(loud(2000, 4000), "the patient speaks two seconds after the beginning").toBeGreaterThan(0.02);
    await page.keyboard.press("p");

    await page.keyboard.press("a");
    await expect(page.locator("[data-state=acknowledged]")).toHaveText(text.orderState.acknowledged);
    expect((await ask<Order>(`/work-orders/${order.id}`)).state).toBe("acknowledged");

    await page.keyboard.press("t");
    await expect(page.getByRole("region", { name: text.order.contacts })).toContainText(text.order.own);

    // The robot has said that a nurse would call: that she did is written down first.
    await page.keyboard.press("s");
    await expect(page.getByRole("dialog").getByRole("textbox")).toBeFocused();
    await page.keyboard.type("119 -> 120");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await expect(page.getByText(text.order.spokenBy("li.na"))).toBeVisible();
    await expect(page.getByRole("dialog")).toBeHidden();

    await page.keyboard.press("c");
    await expect(page.getByRole("dialog")).toBeVisible();
    await expect(page.getByRole("radio").first()).toBeFocused();
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    await page.keyboard.type("120");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await expect(page.locator("[data-state=closed]")).toHaveText(text.orderState.closed);
    const closed = await ask<Order>(`/work-orders/${order.id}`);
    expect([closed.outcome, closed.note]).toEqual(["true", "120"]);

    await page.keyboard.press("Escape");
    await expect(page.getByText(text.worklist.pick)).toBeVisible();
  });
}
