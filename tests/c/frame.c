/* The 60 Hz loop of a game that trains a 64-64-4 net for 1 ms of each frame: by how much the millisecond is passed (printed,
 * never asserted: machines differ), that no frame asks the host's allocator for anything after a warm-up, and that
 * the weights have the bits of training in one go. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "check.h"

enum { BATCH = 32, IN = 64, OUT = 4, STEPS = 60, FRAMES = 600, BUDGET = 1000 };

typedef struct game {
  neap_context *c;
  neap_module *net;
  neap_optimizer *optimizer;
  neap_job *job;
  neap_tensor *x, *label;
  int steps;
} game;

static neap_module *layer(neap_context *c, const char *name, int64_t in, int64_t out) {
  neap_value a[2] = {{.kind = NEAP_INT, .i = in}, {.kind = NEAP_INT, .i = out}};
  return neap_module_new(c, neap_layer_find(name), in ? 2 : 0, a);
}

static void open_game(game *g) {
  float x[BATCH * IN];
  int64_t label[BATCH];
  uint32_t r = 1;
  for (int i = 0; i < BATCH * IN; i++) r = r * 1664525 + 1013904223, x[i] = (float)(r >> 8) / (1 << 24);
  for (int i = 0; i < BATCH; i++) label[i] = i % OUT;
  neap_context *c = neap_open(&(neap_config){.seed = 7});
  *g = (game){.c = c};
  neap_module *part[3] = {layer(c, "Linear", IN, 64), layer(c, "ReLU", 0, 0), layer(c, "Linear", 64, OUT)}, *inner;
  inner = neap_sequential(c, 2, part); /* a tree, to be walked leaf by leaf */
  g->net = neap_sequential(c, 2, (neap_module *[]){inner, part[2]});
  neap_module_release(inner);
  for (int i = 0; i < 3; i++) neap_module_release(part[i]);
  neap_tensor *w[8];
  int n = neap_module_parameters(g->net, w, 8);
  g->optimizer = neap_optimizer_new(c, neap_rule_find("Adam"));
  neap_optimizer_add(g->optimizer, n, w, 0, NULL);
  g->job = neap_job_new(g->net, g->optimizer, neap_op_find("cross_entropy"));
  g->x = neap_copy_in(c, NEAP_F32, 2, (const int64_t[]){BATCH, IN}, x);
  g->label = neap_copy_in(c, NEAP_I64, 1, (const int64_t[]){BATCH}, label);
  check(neap_error(c) == NEAP_OK);
}

static void close_game(game *g) {
  check(neap_error(g->c) == NEAP_OK);
  neap_job_release(g->job);
  neap_optimizer_release(g->optimizer);
  neap_module_release(g->net);
  neap_release(g->x);
  neap_release(g->label);
  check(neap_memory(g->c).live < 100000);
  neap_close(g->c);
}

/* One frame: a step goes on, and when it is done the next begins. */
static void frame(game *g, int64_t budget) {
  int more = neap_step(g->job, budget);
  check(more >= 0);
  if (more) return;
  g->steps++;
  check(neap_job_begin(g->job, g->x, g->label) == NEAP_OK);
}

static void weights(game *g, float *out) {
  neap_tensor *w[8];
  int n = neap_module_parameters(g->net, w, 8);
  for (int i = 0; i < n; i++) {
    neap_copy_out(w[i], NEAP_F32, out);
    out += neap_count(w[i]);
  }
}

/* Weights and loss after STEPS steps, in slices of that budget; negative: with the functions that a job is made of. */
static double trained(int64_t budget, float *out) {
  game g;
  open_game(&g);
  double loss = 0;
  for (int i = 0; budget < 0 && i < STEPS; i++) {
    neap_scope *s = neap_scope_open(g.c);
    neap_tensor *l = neap_cross_entropy(g.c, neap_forward(g.net, g.x), g.label, NULL, -100, NEAP_REDUCTION_MEAN, 0);
    neap_backward(l);
    neap_optimizer_step(g.optimizer);
    neap_optimizer_zero_grad(g.optimizer);
    loss = neap_item(l);
    neap_scope_close(s);
  }
  if (budget >= 0) {
    check(neap_job_begin(g.job, g.x, g.label) == NEAP_OK);
    while (g.steps < STEPS) frame(&g, budget);
    loss = neap_job_loss(g.job);
  }
  weights(&g, out);
  close_game(&g);
  return loss;
}

enum { WEIGHTS = 64 * 64 + 64 + 64 * 4 + 4 };

static void same_bits(void) {
  test_case("frame: slices give the bits of one go");
  static float one[WEIGHTS], other[WEIGHTS];
  double loss = trained(INT64_MAX / 2, one);
  check(trained(0, other) == loss && memcmp(one, other, sizeof one) == 0);
  check(trained(20, other) == loss && memcmp(one, other, sizeof one) == 0);
  check(trained(-1, other) == loss && memcmp(one, other, sizeof one) == 0);
  check(loss < 1.3); /* it learned something: ln 4 is 1.386 */
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void frames(void) {
  test_case("frame: a frame asks the allocator for nothing");
  static double over[FRAMES];
  game g;
  open_game(&g);
  neap_job_begin(g.job, g.x, g.label);
  while (g.steps < 10) frame(&g, BUDGET);
  size_t before = neap_memory(g.c).requests;
  int steps = g.steps;
  for (int i = 0; i < FRAMES; i++) {
    double start = now_us();
    while (now_us() - start < BUDGET * 0.9) {
      int64_t left = (int64_t)(BUDGET - (now_us() - start));
      frame(&g, left > 0 ? left : 0);
    }
    double used = now_us() - start;
    over[i] = used > BUDGET ? used - BUDGET : 0;
  }
  const char *mode = getenv("NEAP_TEST_MODE"); /* under sanitizers there is no pool: every request is the allocator's */
  if (!mode || strcmp(mode, "sanitize") != 0) check(neap_memory(g.c).requests == before);
  qsort(over, FRAMES, sizeof *over, ascending);
  printf("# %d frames, %d training steps; over the budget of %d us: at most %.0f us, 99th percentile %.0f us\n", FRAMES,
         g.steps - steps, BUDGET, over[FRAMES - 1], over[FRAMES * 99 / 100]);
  close_game(&g);
}

int main(void) {
  same_bits();
  frames();
  return check_done();
}
