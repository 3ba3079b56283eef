import sharp from 'sharp';

// One libvips thread a picture: requests are what runs side by side, and threads that each hold a band of pixels would
// make the peak memory depend on the number of cores.
sharp.concurrency(1);
// No picture is decoded twice by one process, so libvips's operation cache would only hold memory.
sharp.cache(false);
// libvips opens whatever a loader claims. Only the loaders of the formats that the documentation names are left.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadHeif',
    'VipsForeignLoadTiff',
    'VipsForeignLoadSvg',
  ],
});

/** sharp, set up once for a server. Nothing else in this package imports sharp. It runs on libuv's threads. */
export const native = sharp;
