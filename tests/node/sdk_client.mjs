// Plays Immich's web app: the official SDK (its package is the first argument) against the front door at the second.
// Prints one JSON object with what each call gave, for test_sdk.py to judge.

const [, , packageName, url, key, assetId] = process.argv;
const sdk = await import(packageName);
sdk.init({ baseUrl: `${url}/api`, apiKey: key });

async function outcome(call) {
  try {
    return { value: await call() };
  } catch (error) {
    if (!sdk.isHttpError(error)) throw error;
    return { status: error.status, message: error.data?.message };
  }
}

const search = (dto) => outcome(() => sdk.searchSmart({ smartSearchDto: dto }));
const results = {
  me: await outcome(() => sdk.getMyUser()),
  first: await search({ query: "ocr:发票", size: 2, page: 1, withExif: true, language: "zh-CN" }),
  second: await search({ query: "ocr:发票", size: 2, page: 2, withExif: true, language: "zh-CN" }),
  fullWidth: await search({ query: " OCR：发票" }),
  filtered: await search({ query: "ocr:发票", city: "上海", type: sdk.AssetTypeEnum.Image, isFavorite: false }),
  plain: await search({ query: "a dog" }),
  invalid: await search({ query: "ocr:发票", size: 5000 }),
  ownJob: await outcome(() => sdk.runAssetJobs({ assetJobsDto: { assetIds: [assetId], name: "refresh-ocr" } })),
  immichJob: await outcome(() =>
    sdk.runAssetJobs({ assetJobsDto: { assetIds: [assetId], name: sdk.AssetJobName.RefreshFaces } }),
  ),
  wrongJob: await outcome(() => sdk.runAssetJobs({ assetJobsDto: { assetIds: [assetId], name: "no-such-job" } })),
  asset: await outcome(() => sdk.getAssetInfo({ id: assetId })),
  thumbnailBytes: (await sdk.viewAsset({ id: assetId, size: sdk.AssetMediaSize.Preview })).size,
};
sdk.init({ baseUrl: `${url}/api`, apiKey: "wrong" });
results.stranger = await search({ query: "ocr:发票" });
console.log(JSON.stringify(results));
