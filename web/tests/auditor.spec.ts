// An auditor's day in both languages: who has listened to whom is found, and the log's chain holds.
import { expect, test } from "@playwright/test";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { ask, be, open, signIn, type Lang } from "./support";

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  test(`an auditor finds who listened (${lang})`, async ({ page }) => {
    const { items } = await ask<{ items: { id: string; answered_at: string | null }[] }>("/attempts");
    const call = items.find((attempt) => attempt.answered_at)!.id;
    await be(page, "zhou.lan");
    await open(page, lang, `/qa/call/${call}`);
    await expect(page.locator(".wave .drawn")).toBeVisible();

    await page.context().clearCookies();
    await page.goto(new URL(page.url()).origin);
    await signIn(page, "zheng.ping");
    await expect(page.getByRole("link", { name: text.pages.audit_log })).toHaveAttribute("aria-current", "page");
    await expect(page.getByRole("link", { name: text.pages.qa })).toHaveCount(0);
    await page.getByLabel(text.audit.record).fill(call);
    await page.getByLabel(text.audit.record).press("Enter");
    await page.getByLabel(text.audit.who).fill("zhou.lan");
    await page.getByLabel(text.audit.who).press("Enter");
    const listens = page.locator("tr[data-what='recording.listen']");
    await expect(listens.first()).toContainText("zhou.lan");
    await expect(listens.first()).toContainText(text.audit.what["recording.listen"]!);
    await expect(page.locator("tr[data-what]").filter({ hasNotText: call })).toHaveCount(0);
    await page.getByRole("button", { name: text.audit.check }).click();
    await expect(page.locator(".ant-alert-success")).toBeVisible();
  });
}
