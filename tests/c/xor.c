/* A host that trains: two layers learn XOR, their weights go to a file and come back, and all of it again with an
 * allocator that refuses the n-th request, for every n: an error, nothing leaked, and the context goes on working. */
#include <unistd.h>
#include "check.h"

/* ---- the program: every step returns at once after a failure, so it is checked at its end ---- */

typedef struct program {
  neap_context *c;
  neap_module *net;
  neap_optimizer *optimizer;
  neap_tensor *x, *y;
} program;

static neap_module *layer(neap_context *c, const char *name, int64_t in, int64_t out) {
  neap_value a[2] = {{.kind = NEAP_INT, .i = in}, {.kind = NEAP_INT, .i = out}};
  return neap_module_new(c, neap_layer_find(name), in ? 2 : 0, a);
}

static neap_module *make_net(neap_context *c) {
  neap_module *part[3] = {layer(c, "Linear", 2, 8), layer(c, "Tanh", 0, 0), layer(c, "Linear", 8, 1)};
  neap_module *net = neap_error(c) ? NULL : neap_sequential(c, 3, part);
  for (int i = 0; i < 3; i++) neap_module_release(part[i]);
  return net;
}

static void begin(program *p) {
  static const float x[8] = {0, 0, 0, 1, 1, 0, 1, 1}, y[4] = {0, 1, 1, 0};
  neap_context *c = p->c;
  p->x = neap_copy_in(c, NEAP_F32, 2, (const int64_t[]){4, 2}, x);
  p->y = neap_copy_in(c, NEAP_F32, 2, (const int64_t[]){4, 1}, y);
  p->net = make_net(c);
  p->optimizer = neap_optimizer_new(c, neap_rule_find("Adam"));
  if (neap_error(c)) return;
  neap_tensor *w[8];
  int n = neap_module_parameters(p->net, w, 8);
  neap_optimizer_add(p->optimizer, n, w, 1, &(neap_value){.kind = NEAP_NUMBER, .d = 0.05});
}

static void end(program *p) {
  neap_optimizer_release(p->optimizer);
  neap_module_release(p->net);
  neap_release(p->x);
  neap_release(p->y);
}

static double loss_of(program *p, int train) {
  neap_context *c = p->c;
  if (neap_error(c)) return -1;
  neap_scope *s = neap_scope_open(c);
  neap_tensor *y = neap_forward(p->net, p->x), *loss = neap_error(c) ? NULL : neap_mse_loss(c, y, p->y, NEAP_REDUCTION_MEAN);
  double value = loss ? neap_item(loss) : -1;
  if (loss && train) {
    neap_backward(loss);
    neap_optimizer_step(p->optimizer);
    neap_optimizer_zero_grad(p->optimizer);
  }
  neap_scope_close(s);
  return value;
}

static double train(program *p, int steps) {
  double loss = -1;
  for (int i = 0; i < steps; i++) loss = loss_of(p, 1);
  return loss;
}

static void file_name(char *path, size_t size) { snprintf(path, size, "/tmp/neap_xor_%ld.safetensors", (long)getpid()); }

static void learns(void) {
  char path[64];
  file_name(path, sizeof path);
  test_case("xor: two layers learn it, and their weights come back from a file");
  program p = {.c = neap_open(&(neap_config){.seed = 1})}, q = {.c = p.c};
  begin(&p);
  check(train(&p, 400) < 0.01);
  check(neap_save_module(p.net, path) == NEAP_OK);
  begin(&q);
  check(loss_of(&q, 0) > 0.01);
  check(neap_load_module(q.net, path) == NEAP_OK);
  check(loss_of(&q, 0) == loss_of(&p, 0) && loss_of(&q, 0) < 0.01);
  check(neap_error(p.c) == NEAP_OK);
  end(&p);
  end(&q);
  check(neap_memory(p.c).live < 1 << 20);
  neap_close(p.c);
  remove(path);
}

/* Refuses request `refuse` and the one after it: a context that is refused gives back what it can spare and asks again. */
typedef struct refusing { host_memory memory; long refuse; } refusing;

static void *refusing_alloc(void *user, size_t size, size_t align) {
  refusing *r = user;
  long next = r->memory.calls + 1;
  r->memory.fail_at = next == r->refuse || next == r->refuse + 1 ? next : 0;
  return host_alloc(&r->memory, size, align);
}

/* The whole program with the n-th request refused: 1 when the request was reached. */
static int refused(long n, const char *path) {
  refusing r = {.refuse = n};
  host_memory *m = &r.memory;
  neap_config config = {.user = &r, .alloc = refusing_alloc, .dealloc = host_dealloc, .no_pool = 1};
  program p = {.c = neap_open(&config)};
  if (!p.c) {
    check_int(m->live, 0);
    return 1;
  }
  begin(&p);
  train(&p, 3);
  if (!neap_error(p.c)) neap_save_module(p.net, path);
  if (!neap_error(p.c)) neap_load_module(p.net, path);
  int reached = m->calls >= n;
  check_at(__LINE__, neap_error(p.c) == (reached ? NEAP_ERR_MEMORY : NEAP_OK), "request %ld: %s", n, neap_error_message(p.c));
  neap_clear(p.c);
  r.refuse = 0;
  if (p.net && p.optimizer && neap_optimizer_group_count(p.optimizer)) { /* usable after */
    neap_optimizer_zero_grad(p.optimizer);
    check(train(&p, 1) >= 0 && neap_error(p.c) == NEAP_OK);
  }
  end(&p);
  neap_close(p.c);
  check_at(__LINE__, m->live == 0, "request %ld: %ld blocks are left", n, m->live);
  return reached;
}

int main(void) {
  learns();
  test_case("xor: a refused request leaks nothing and leaves the context usable");
  char path[64];
  file_name(path, sizeof path);
  long n = 1;
  while (refused(n, path) && check_failures < 20) n++;
  remove(path);
  check(n > 100);
  printf("# %ld requests, each refused once\n", n - 1);
  return check_done();
}
