import test from "./test.js";

export const { withZk } = test;
