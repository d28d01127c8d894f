// What holds for every page in both languages: nothing hinders who cannot see or use a mouse, nothing sticks out of an old
// screen, and every word is of the language that was chosen.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";
import { PAGES, show } from "./all_pages";
import type { Lang } from "./support";

/** Words of the page itself that are not in its language. What people wrote and names are marked `translate="no"`. */
function foreign(page: Page, lang: Lang): Promise<string[]> {
  return page.evaluate((lang) => {
    const other = lang === "zh" ? /[A-Za-z]{2,}/ : /[\u3400-\u9fff]/;
    const found: string[] = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node: Node | null = walk.currentNode; node; node = walk.nextNode()) {
      const element = node instanceof Element ? node : node.parentElement!;
      // Icons are named by Ant Design, in English; each stands beside words.
      if (element.closest("[translate=no], kbd, script, style, .anticon")) continue;
      const said = node instanceof Element ? ["aria-label", "title", "placeholder", "alt"].map((name) => node.getAttribute(name) ?? "") : [node.textContent ?? ""];
      found.push(...said.filter((words) => other.test(words)));
    }
    if (other.test(document.title.replace("aftercall", ""))) found.push(document.title);
    return found;
  }, lang);
}

/** Goes through the page by Tab alone, and names what that does not reach. */
async function unreached(page: Page): Promise<string[]> {
  for (let presses = 0; presses < 400; presses += 1) {
    await page.keyboard.press("Tab");
    const isAround = await page.evaluate(() => {
      const on = document.activeElement;
      if (!on || on === document.body) return false;
      const isAround = on.hasAttribute("data-reached");
      on.setAttribute("data-reached", "");
      return isAround;
    });
    if (isAround) break;
  }
  return page.evaluate(() => {
    const all = document.querySelectorAll<HTMLElement>("a[href], button, input, select, textarea, [role=button], [tabindex]");
    const must = [...all].filter((element) => {
      const isOff = element.tabIndex < 0 || (element as HTMLButtonElement).disabled || element.closest("[aria-hidden=true]") !== null;
      const isHidden = !element.checkVisibility({ visibilityProperty: true });
      // Arrow keys move within a group of radio buttons.
      const isOneOf = element instanceof HTMLInputElement && element.type === "radio";
      return !isOff && !isHidden && !isOneOf && !element.hasAttribute("data-reached");
    });
    return must.map((element) => element.outerHTML.slice(0, 120));
  });
}

for (const lang of ["zh", "en"] as Lang[]) {
  for (const shown of PAGES) {
    test(`${shown.name} is there for everybody (${lang})`, async ({ page }) => {
      await show(page, shown, lang);
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
      expect(await foreign(page, lang), "words that are not translated").toEqual([]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, "pixels that stick out to the right").toBeLessThanOrEqual(0);
      expect(await unreached(page), "not reached by Tab").toEqual([]);
    });
  }
}
