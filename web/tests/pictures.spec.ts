// `make screenshots`: every page in both languages, on an old screen and on a large one.
import { resolve } from "node:path";
import { test } from "@playwright/test";
import { PAGES, show } from "./all_pages";
import type { Lang } from "./support";

const FOLDER = resolve(import.meta.dirname, "../../target/screenshots");

for (const [width, height] of [[1366, 768], [1920, 1080]] as const) {
  for (const lang of ["zh", "en"] as Lang[]) {
    for (const shown of PAGES) {
      test(`${shown.name} ${lang} ${width}x${height} @pictures`, async ({ page }) => {
        await page.setViewportSize({ width, height });
        await show(page, shown, lang);
        await page.screenshot({ path: `${FOLDER}/${shown.name}.${lang}.${width}x${height}.png` });
      });
    }
  }
}
