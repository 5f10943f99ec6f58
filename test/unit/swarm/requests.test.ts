import { beforeEach, expect, test } from "vitest";
import { blockBytes } from "../../../swarm/limits.ts";
import { RateMeter } from "../../../swarm/rate.ts";
import { Requests } from "../../../swarm/requests.ts";

const block = (index: number) => ({ index, begin: 0, length: blockBytes });
let requests: Requests;

beforeEach(() => {
  requests = new Requests(new RateMeter(0), 0);
});

test("a block that has come, or was refused, tells how quickly the peer answers", () => {
  requests.add([block(0)], 100);
  expect(requests.settle(0, 0, 140)).toBe(true);
  expect(requests.answerMsMin).toBe(40);
  expect(requests.answerMs(140)).toBe(40);
  expect(requests.live).toBe(0);
  expect(requests.settle(0, 0, 150)).toBe(false);
});

test("a request that is taken back at once does not make a peer on a long path look near", () => {
  requests.add([block(0), block(1)], 100);
  requests.settle(0, 0, 140);
  expect(requests.cancel(1, 0, 141)).toBe(true);
  requests.add([block(2)], 150);
  expect(requests.cancel(2, 0, 151)).toBe(true);
  expect(requests.answerMsMin).toBe(40);
  expect(requests.answerMs(151)).toBe(41);
  expect(requests.live).toBe(0);
  expect(requests.isAsked(2, 0, blockBytes)).toBe(false);
});

test("a peer that has answered nothing yet is not known to be quick because its requests are taken back", () => {
  requests.add([block(0)], 100);
  requests.cancel(0, 0, 101);
  expect(requests.answerMsMin).toBe(Number.POSITIVE_INFINITY);
});

test("a peer that lets requests wait until they are taken back is slow from then on, until it answers", () => {
  requests.add([block(0)], 100);
  requests.cancel(0, 0, 1_100);
  expect(requests.answerMs(1_100)).toBe(1_000);
  requests.add([block(1)], 1_200);
  requests.settle(1, 0, 1_210);
  expect(requests.answerMs(1_210)).toBe(10);
});
