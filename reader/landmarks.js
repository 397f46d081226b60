"use strict";
/* Landmarks of MediaPipe's pose model as Kinect's joints, number for number as landmarks.py makes them. `points` is the table of landmarks.json. */
const RATE = 30, FOCAL = 1081 / 1920, LINGER = 0.25;
const weighted = (weights, rows) => rows[0].map((_, c) => rows.reduce((sum, row, i) => sum + weights[i] * row[c], 0));

/** 33 rows of C values as 25. */
function toJoints(landmarks, points) {
  const rows = Object.fromEntries(landmarks.map((row, number) => [`P${number}`, row]));
  for (const [name, terms] of Object.entries(points)) rows[name] = weighted(Object.values(terms), Object.keys(terms).map(term => rows[term]));
  return Array.from({ length: 25 }, (_, number) => rows[`J${number + 1}`]);
}

/** 25 rows x, y, z, visibility in Kinect's camera space; landmarks {x, y, z, visibility} of a picture [width, height] that is not mirrored. */
function inCameraSpace(world, image, size, points) {
  const focal = FOCAL * Math.max(...size), sight = image.map(p => Math.max(p.visibility, 1e-3)), total = sight.reduce((a, b) => a + b);
  const weights = sight.map(value => value / total), rays = image.map(p => [(p.x - 0.5) * size[0] / focal, (p.y - 0.5) * size[1] / focal]);
  const offsets = world.map((p, i) => [rays[i][0] * p.z - p.x, rays[i][1] * p.z - p.y]);
  const ray = weighted(weights, rays), offset = weighted(weights, offsets);
  const product = (a, meanA, b, meanB) => a.reduce((sum, row, i) => sum + weights[i] * row.reduce((s, value, c) => s + (value - meanA[c]) * (b[i][c] - meanB[c]), 0), 0);
  const depth = -product(rays, ray, offsets, offset) / product(rays, ray, rays, ray);
  const [X, Y] = ray.map((value, c) => value * depth + offset[c]);
  return toJoints(world.map((p, i) => [-(p.x + X), -(p.y + Y), p.z + depth, image[i].visibility]), points);
}

/** {values, seen} at 30 frames a second from 0 to `length` of rows of numbers at ascending `times` in seconds. */
function resample(times, rows, length) {
  const values = [], seen = [];
  for (let frame = 0, i = 0; frame <= Math.round(length * RATE); frame++) {
    const clock = frame / RATE;
    while (i + 1 < times.length && times[i + 1] <= clock) i++;
    const next = clock <= times[0] ? 0 : Math.min(i + 1, times.length - 1), part = next > i ? (clock - times[i]) / (times[next] - times[i]) : 0;
    values.push(rows[i].map((value, c) => value + part * (rows[next][c] - value)));
    seen.push(Math.min(Math.abs(clock - times[i]), Math.abs(clock - times[next])) <= LINGER);
  }
  return { values, seen };
}
