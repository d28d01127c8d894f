// Dates and times in the reader's language and the hospital's zone.
import { useMemo } from "react";
import { useSite } from "../api/site";
import { useText } from "./index";

export interface Times {
  moment(at: string | null | undefined): string;
  date(at: string | null | undefined): string;
  time(at: string | null | undefined): string;
}

export function useTimes(): Times {
  const { locale } = useText();
  const zone = useSite()?.zone ?? "UTC";
  return useMemo(() => {
    const format = (options: Intl.DateTimeFormatOptions) => {
      const made = new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
      return (at: string | null | undefined) => (at ? made.format(new Date(at)) : "");
    };
    return {
      moment: format({ month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false }),
      date: format({ year: "numeric", month: "numeric", day: "numeric" }),
      time: format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }),
    };
  }, [locale, zone]);
}
