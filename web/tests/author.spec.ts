// An author changes a text, rehearses it and hands it in; a clinician signs it with a key that stays where it is; an admin
// puts it in force. In both languages.
import { expect, test, type Page } from "@playwright/test";
import { join, resolve } from "node:path";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { ask, be, open, type Lang } from "./support";

const KEY = join(resolve(import.meta.dirname, "../.."), "fixtures/demo_signing_key.toml");

interface Drafts {
  drafts: { id: string; note: string; state: string; edited_by: string[]; signed_by: string | null }[];
  publications: { draft: string | null; by: string }[];
}

/** A script a language, so that each test has its own. */
const SCRIPT: Record<Lang, string> = { zh: "general", en: "surgery" };

async function part(page: Page, name: string) {
  await page.getByRole("link", { name, exact: true }).click();
}

async function file(page: Page, name: string) {
  await page.locator(".ant-segmented-item", { hasText: name }).click();
}

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  const script = SCRIPT[lang];
  const note = `${lang} draft`;

  test(`an author edits, rehearses and submits (${lang})`, async ({ page }) => {
    await be(page, "sun.yu");
    await open(page, lang, `/scripts/${script}/tree?lang=${lang}`);
    await expect(page.locator(".drawing .node").first()).toBeVisible();
    const played = page.waitForResponse(/\/scripts\/prompts\//);
    await page.locator(".panel").getByRole("button", { name: text.admin.scripts.play }).first().click();
    expect((await played).headers()["content-type"]).toBe("audio/wav");
    await expect(page.locator(".panel [data-playing=true]")).toBeVisible();

    await part(page, text.admin.scripts.parts.edit);
    await file(page, `${script}/script.toml`);
    const area = page.locator("textarea.code");
    const before = await area.inputValue();
    // What calls have run never changes under its number.
    const raised = before.replace(/^revision = (\d+)$/m, (_, now: string) => `revision = ${Number(now) + 1}`);
    const first = /^next = "([^"]+)"$/m.exec(raised)![1]!;
    await area.fill(raised.replace(`next = "${first}"`, 'next = "nowhere"'));
    await page.getByPlaceholder(text.admin.scripts.note).fill(note);
    await page.getByRole("button", { name: text.admin.scripts.saveNew }).click();
    await expect(page.locator(".faults")).toContainText("nowhere");
    await expect(page.getByRole("button", { name: text.admin.scripts.submit })).toBeDisabled();
    await file(page, `${script}/script.toml`);
    await area.fill(raised);
    await page.getByRole("button", { name: text.save }).click();
    await expect(page.getByText(text.admin.scripts.sound)).toBeVisible();

    await part(page, text.admin.scripts.parts.rehearse);
    const talk = page.locator(".talk");
    await expect(talk.locator("li.robot").first()).toBeVisible();
    const says = lang === "zh" ? ["是我", "九月十四号", "胸口疼得厉害，喘不上气"] : ["Yes, speaking", "September fourteenth", "I have terrible chest pain right now"];
    for (const words of says) {
      const answered = page.waitForResponse(/\/rehearse$/);
      await page.getByLabel(text.admin.scripts.reply).fill(words);
      await page.getByLabel(text.admin.scripts.reply).press("Enter");
      await answered;
    }
    await expect(page.locator("[data-order=emergent]")).toContainText(text.urgency.emergent);

    await part(page, text.admin.scripts.parts.edit);
    await page.getByRole("button", { name: text.admin.scripts.submit }).click();
    await page.locator(".ant-popconfirm").getByRole("button", { name: text.admin.scripts.submit }).click();
    await expect(page.getByText(text.admin.scripts.handedIn)).toBeVisible();
    const told = await ask<Drafts>(`/scripts/${script}/drafts`);
    expect(told.drafts.map((draft) => [draft.note, draft.state, draft.edited_by])).toEqual([[note, "submitted", ["sun.yu"]]]);
  });

  test(`a clinician signs, and an admin puts it in force and takes it back (${lang})`, async ({ page, browser }) => {
    await be(page, "chen.jing");
    const sent: string[] = [];
    page.on("request", (request) => sent.push(request.postData() ?? ""));
    await open(page, lang, `/scripts/${script}/release?lang=${lang}`);
    await page.getByRole("button", { name: text.admin.scripts.sign, exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.locator("input[type=file]").setInputFiles(KEY);
    await expect(dialog).toContainText("Demo clinician");
    await dialog.getByRole("button", { name: text.admin.scripts.sign, exact: true }).click();
    await expect(page.locator("[data-draft=signed]")).toBeVisible();
    expect(sent.filter((body) => body.includes("vvoQwGxG")), "the secret half stays here").toEqual([]);
    const signed = (await ask<Drafts>(`/scripts/${script}/drafts`)).drafts[0]!;
    expect([signed.state, signed.signed_by]).toEqual(["signed", "chen.jing"]);
    await expect(page.getByRole("button", { name: text.admin.scripts.publish })).toHaveCount(0);

    const admin = await (await browser.newContext({ viewport: { width: 1366, height: 768 } })).newPage();
    await be(admin, "zhao.gang");
    await open(admin, lang, `/scripts/${script}/release?lang=${lang}`);
    await admin.getByRole("button", { name: text.admin.scripts.publish }).click();
    await admin.getByRole("dialog").getByLabel(text.admin.plans.reason).fill("2026");
    await admin.getByRole("dialog").getByRole("button", { name: text.admin.scripts.publish }).click();
    await expect(admin.getByText(text.admin.scripts.next, { exact: true })).toBeVisible();
    await admin.getByRole("button", { name: text.admin.scripts.rollBack }).click();
    await admin.getByRole("dialog").getByLabel(text.admin.plans.reason).fill("2025");
    await admin.getByRole("dialog").getByRole("button", { name: text.admin.scripts.rollBack }).click();
    await expect(admin.getByText(text.admin.scripts.next, { exact: true })).toHaveCount(0);
    const { publications } = await ask<Drafts>(`/scripts/${script}/drafts`);
    expect(publications.map(({ draft, by }) => [draft, by])).toEqual([[null, "zhao.gang"], [signed.id, "zhao.gang"]]);
  });
}
