declare module "virtual:sample-names" {
  const fields: { name: string; features: Record<string, string> }[];
  export default fields;
}
declare module "*?url" {
  const url: string;
  export default url;
}
