// Who works in the hospital of the tests: their sign-in names, and what each is.
export const STAFF = {
  "li.na": { role: "nurse", shown: "李娜" },
  "chen.jing": { role: "clinician", shown: "陈静" },
  "sun.yu": { role: "author", shown: "孙宇" },
  "wang.min": { role: "qa", shown: "王敏" },
  "zhou.lan": { role: "qa", shown: "周岚" },
  "zhao.gang": { role: "system_admin", shown: "赵刚" },
  "wu.tao": { role: "security_admin", shown: "吴涛" },
  "zheng.ping": { role: "auditor", shown: "郑平" },
} as const;

export type Name = keyof typeof STAFF;

export const PASSWORD = "plum-blossom-42";
