// The language of the pages, and times in the hospital's zone.
import enUS from "antd/locale/en_US";
import zhCN from "antd/locale/zh_CN";
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { en, type Texts } from "./en";
import { zh } from "./zh";

export type Lang = "zh" | "en";
export type { Texts };

const TEXTS: Record<Lang, Texts> = { zh, en };
export const ANTD = { zh: zhCN, en: enUS };

interface Language {
  lang: Lang;
  text: Texts;
  setLang(lang: Lang): void;
}

const Context = createContext<Language | null>(null);

export function useText(): Texts {
  return useLanguage().text;
}

export function useLanguage(): Language {
  const language = useContext(Context);
  if (!language) throw new Error("no language above");
  return language;
}

const KEPT = "aftercall.lang";

/** The one chosen before on this machine, or the browser's. */
function initial(): Lang {
  const kept = localStorage.getItem(KEPT);
  if (kept === "zh" || kept === "en") return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [lang, choose] = useState<Lang>(initial);
  useEffect(() => {
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  }, [lang]);
  const setLang = useCallback((lang: Lang) => {
    localStorage.setItem(KEPT, lang);
    choose(lang);
  }, []);
  const language = useMemo(() => ({ lang, text: TEXTS[lang], setLang }), [lang, setLang]);
  return <Context value={language}>{children}</Context>;
}

/** A word of the API in the reader's language; one that is not known yet stays as it is. */
export function word(words: Record<string, string>, key: string | null | undefined): string {
  return key ? (words[key] ?? key) : "";
}

/** `4:05`, `1:02:03`: a length of time, whatever its sign. */
export function span(ms: number): string {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (hours >= 48) return `${Math.floor(hours / 24)} d`;
  return hours > 0 ? `${hours}:${rest}` : rest.replace(/^0/, "");
}
