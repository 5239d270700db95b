/* Generators: a seed and the next unused counter of a counter-based stream. What numbers they stand for is the kernels'
 * matter; here they are made, shared, saved and set. The context's own generator lives inside it: references to it that
 * are given out keep the context, and none of them frees it. */
#include "base.h"

neap_generator *neap_generator_new(neap_context *c, uint64_t seed) {
  if (np_failed(c)) return NULL;
  neap_generator *g = np_alloc(c, sizeof *g);
  if (!g) return NULL;
  *g = (neap_generator){.ctx = c, .seed = seed, .refs = 1};
  c->handles++;
  return g;
}

neap_generator *neap_generator_default(neap_context *c) {
  c->generator.refs++;
  c->handles++;
  return &c->generator;
}

void neap_generator_get(const neap_generator *g, uint64_t state[2]) {
  state[0] = g ? g->seed : 0;
  state[1] = g ? g->offset : 0;
}

void neap_generator_set(neap_generator *g, const uint64_t state[2]) {
  if (!g) return;
  g->seed = state[0];
  g->offset = state[1];
}

/* A permutation of 64-bit numbers that mixes well (the finaliser of Steele et al., "Fast splittable pseudorandom number
 * generators", 2014). */
static uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

neap_generator *neap_generator_fork(const neap_generator *g, uint64_t key) {
  return neap_generator_new(g->ctx, mixed(mixed(g->seed + UINT64_C(0x9e3779b97f4a7c15)) + (key + 1) * UINT64_C(0x9e3779b97f4a7c15)));
}

void neap_generator_release(neap_generator *g) {
  if (!g) return;
  neap_context *c = g->ctx;
  if (--g->refs == 0 && g != &c->generator) np_free(c, g, sizeof *g);
  np_context_drop(c);
}

void neap_seed(neap_context *c, uint64_t seed) {
  c->generator.seed = seed;
  c->generator.offset = 0;
}
