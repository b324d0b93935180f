const LOOKS =
  /\.(pages|find|faultOf|quota|types|list|stock|hasStale|onTheirWay|byVolume|ofClaim|living|byKey|toSettle|knowsVolume|originOf|longestLeadTimes)\b/

/** Whether a call to a port, such as `spares.stock`, changes nothing: test/crash proves it of those that it meets. */
export const isLook = (step: string): boolean => LOOKS.test(step)
