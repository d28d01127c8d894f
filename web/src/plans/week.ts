// The days and times of a week's grid.

/** Monday first. */
export const DAYS = [0, 1, 2, 3, 4, 5, 6];

/** Minutes since midnight of a time such as 09:00:00. */
export const minutes = (time: string) => 60 * Number(time.slice(0, 2)) + Number(time.slice(3, 5));
