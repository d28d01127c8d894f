// An admin's day in both languages: who was not rung and why, a pause, a list looked at first, and an hour that reaches
// nobody closed.
import { expect, test } from "@playwright/test";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { en } from "../src/text/en";
import { zh } from "../src/text/zh";
import { ask, be, open, type Lang } from "./support";

const ROOT = resolve(import.meta.dirname, "../..");

/**
 * Three months of Saturday noons on which nobody answered, and of Tuesday mornings on which everybody did: calls of the
 * patient who was imported first, written where the engine would have.
 */
const CALLS = `
import datetime, sqlite3, sys, uuid
base = sqlite3.connect(sys.argv[1], timeout=20)
patient, zone = base.execute("select id, zone from patient order by id limit 1").fetchone()
assert zone == "Asia/Shanghai"
now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8)))
def call(weekday, hour, week, place, answered):
    day = now - datetime.timedelta(days=(now.weekday() - weekday) % 7 + 7 * week)
    at = int(day.replace(hour=hour, minute=place, second=0).timestamp() * 1000)
    base.execute("insert into attempt (id, patient_id, number, state, engine, leased_until_ms, trunk, script, script_hash, day, lang, started_at_ms, ended_at_ms, disposition, answered_by, rang) values (?, ?, 1, 'ended', 'before', 0, 'before', 'cardiac', '', 3, 'zh', ?, ?, ?, ?, 1)",
        (str(uuid.uuid4()), patient, at, at + 30000, "unidentified" if answered else "no_answer", "human" if answered else "nobody"))
for week in range(2, 12):
    for place in range(6):
        call(5, int(sys.argv[2]), week, 5 * place, False)
        for hour in (9, 10, 11, 15, 16):
            call(5, hour, week, 5 * place, True)
base.commit()
`;

/** An hour a language, so that each test has its own to close. */
const NOON: Record<Lang, number> = { zh: 14, en: 17 };

for (const [lang, text] of [["zh", zh], ["en", en]] as [Lang, typeof zh][]) {
  test(`an admin sees why somebody was not rung, pauses a ward and closes an hour (${lang})`, async ({ page }) => {
    await be(page, "zhao.gang");
    await open(page, lang, "/plans/patients");

    const asked = page.waitForRequest((request) => request.url().endsWith("/patients/find"));
    await page.getByPlaceholder(text.admin.plans.findBy).fill("RH10033");
    await page.getByPlaceholder(text.admin.plans.findBy).press("Enter");
    expect((await asked).method()).toBe("POST");
    await page.locator(".ant-list-item a").first().click();
    await expect(page.locator("[data-step]").first()).toBeVisible();
    await expect(page.locator(".why li").first()).toContainText(lang === "zh" ? /[\u4e00-\u9fff]{4}/ : /[A-Za-z]{4}/);
    expect(page.url()).not.toContain("RH10033");

    await page.getByRole("link", { name: text.admin.plans.pauses }).click();
    await page.getByLabel(text.ward).click();
    await page.locator(".ant-select-item-option").first().click();
    await page.getByLabel(text.admin.plans.reason).fill("搬迁");
    await page.getByRole("button", { name: text.admin.plans.pause, exact: true }).click();
    const row = page.locator(".ant-table-row").first();
    await expect(row).toContainText("搬迁");
    expect((await ask<{ items: { by: string }[] }>("/pauses")).items.map(({ by }) => by)).toEqual(["zhao.gang"]);
    await row.getByRole("button", { name: text.admin.plans.resume }).click();
    await page.locator(".ant-popconfirm").getByRole("button", { name: text.admin.plans.resume }).click();
    await expect(page.getByText(text.admin.plans.noPause)).toBeVisible();

    await page.getByRole("link", { name: text.admin.plans.imports }).click();
    const before = (await ask<{ items: object[] }>("/imports")).items.length;
    const list = readFileSync(join(ROOT, "fixtures/patients.csv"), "utf8").split("\n");
    await page.locator("input[type=file]").setInputFiles({ name: "list.csv", mimeType: "text/csv", buffer: Buffer.from(`${list[0]}\n${list[1]}\nbroken,row\n`) });
    await expect(page.locator("[data-dry-run]")).toContainText(text.admin.plans.dryRun);
    await expect(page.locator("[data-dry-run]")).toContainText(text.admin.plans.cure);
    expect((await ask<{ items: object[] }>("/imports")).items.length, "looked at, not saved").toBe(before);

    const told = spawnSync("python3", ["-c", CALLS, process.env["AFTERCALL_DATABASE"] ?? "", String(NOON[lang])], { encoding: "utf8" });
    expect(told.status, told.stderr).toBe(0);
    await page.getByRole("link", { name: text.admin.plans.hours }).click();
    const when = `${text.admin.weekday[5]} ${NOON[lang]}:00–${NOON[lang] + 1}:00`;
    const proposal = page.locator(".ant-table-row", { hasText: when });
    await expect(proposal).toContainText("n = 60");
    await proposal.getByRole("button", { name: text.admin.hours.accept }).click();
    await page.getByRole("dialog").getByRole("button", { name: text.admin.hours.accept }).click();
    await expect(proposal).toHaveCount(0);
    const closed = page.locator(".week .learnt button");
    await expect(closed).toHaveCount(1);
    const reach = await ask<{ closed: { id: string; by: string }[] }>("/calling-hours/reach");
    expect(reach.closed.map(({ id, by }) => [id, by])).toEqual([[expect.stringMatching(new RegExp(`\\.sat\\.${NOON[lang]}$`)), "zhao.gang"]]);

    await closed.click();
    await page.getByRole("dialog").getByRole("button", { name: text.admin.hours.open, exact: true }).click();
    await expect(closed).toHaveCount(0);

    const edit = page.getByRole("button", { name: text.admin.hours.edit });
    const grid = page.getByRole("grid", { name: text.admin.hours.edit });
    const cell = (at: string) => grid.getByRole("button", { name: `${text.admin.weekday[0]} ${at}` });
    const monday = async () => {
      const { layers } = await ask<{ layers: { layer: string; set: { by: string } | null; week: { from: string; to: string }[][] }[] }>("/calling-hours");
      const hospital = layers.find(({ layer }) => layer === "hospital")!;
      return [hospital.set?.by, hospital.week[0]!.map(({ from, to }) => `${from.slice(0, 5)}-${to.slice(0, 5)}`).join(" ")];
    };
    const [, configured] = await monday();
    await edit.click();
    // By keyboard alone: half an hour later than the last one that is open, from the first cell that Tab reaches.
    await cell("08:00–08:30").focus();
    for (let step = 0; step < 24; step += 1) await page.keyboard.press("ArrowRight");
    await expect(cell("20:00–20:30")).toBeFocused();
    await page.keyboard.press("Space");
    await expect(cell("20:00–20:30")).toHaveAttribute("aria-pressed", "true");
    await page.getByRole("button", { name: text.admin.hours.save }).click();
    await expect(grid).toHaveCount(0);
    await expect(page.getByText(text.admin.hours.lawHolds)).toContainText("zhao.gang");
    expect(await monday()).toEqual(["zhao.gang", configured!.replace("20:00", "20:30")]);
    await edit.click();
    await page.getByRole("button", { name: text.admin.hours.reset }).click();
    await expect(grid).toHaveCount(0);
    expect(await monday()).toEqual([undefined, configured]);
  });

  test(`an admin reads the figures, drills down and takes them along (${lang})`, async ({ page }) => {
    await be(page, "zhao.gang");
    await open(page, lang, "/dashboard");
    const tile = page.locator("[data-figure=reach]");
    const shown = await ask<{ all: { values: { id: string; part: number; of: number }[] } }>("/figures");
    const reach = shown.all.values.find(({ id }) => id === "reach")!;
    await expect(tile).toContainText(`${reach.part} / ${reach.of}`);
    await tile.hover();
    await expect(page.locator(".ant-popover").first()).toContainText("60 %");
    await tile.getByRole("button").click();
    await expect(page.locator(".ant-drawer")).toContainText(text.admin.dashboard.total(reach.of - reach.part));
    await page.keyboard.press("Escape");
    for (const [by, shown] of [["party", text.answeredBy["patient"]!], ["dialect", text.unknown]] as const) {
      await page.getByLabel(text.admin.dashboard.by).click();
      await page.locator(".ant-select-item-option").getByText(text.admin.by[by], { exact: true }).click();
      await expect(page.locator(".ant-table-row").getByText(shown, { exact: true })).toBeVisible();
    }
    const file = page.waitForEvent("download");
    await page.getByRole("button", { name: text.admin.dashboard.sheet }).click();
    expect((await file).suggestedFilename()).toMatch(/^figures-.*\.xlsx$/);
    await page.emulateMedia({ media: "print" });
    await expect(page.getByText(text.admin.dashboard.definitions)).toBeVisible();
  });
}
