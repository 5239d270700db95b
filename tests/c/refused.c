/* What a program in C must be able to lean on: each function takes the NULL that a failed one returned; and whatever is
 * done, if the n-th request for memory is refused, for every n, then one error is pending, nothing leaks, nothing is half
 * done that says it is not, and the context goes on. Also tensors of no elements and of no dimensions, everywhere. */
#include <math.h>
#include <unistd.h>
#include "check.h"

/* ---- NULL handles ---- */

static int visit_none(void *arg, const char *name, neap_tensor *t, int buffer) {
  (void)arg, (void)name, (void)t, (void)buffer;
  return 1;
}

static void null_tensors(void) {
  test_case("null: what a failed call returned goes through every function of tensors and gradients");
  uint64_t state[2] = {1, 1};
  neap_retain(NULL);
  neap_release(NULL);
  check(!neap_context_of(NULL) && neap_ndim(NULL) == 0 && !neap_shape(NULL) && !neap_strides(NULL) && neap_count(NULL) == 0);
  check(neap_bytes(NULL) == 0 && !neap_is_contiguous(NULL) && !neap_data(NULL) && !neap_read(NULL) && neap_item(NULL) == 0);
  check(neap_item_int(NULL) == 0 && neap_copy_out(NULL, NEAP_F32, state) < 0 && neap_dtype_of(NULL) == NEAP_F32);
  neap_scope_keep(NULL, NULL);
  neap_scope_close(NULL);
  neap_generator_get(NULL, state);
  neap_generator_set(NULL, state);
  neap_generator_release(NULL);
  check(state[0] == 0 && state[1] == 0);
  check(!neap_requires_grad(NULL) && neap_set_requires_grad(NULL, 1) < 0 && !neap_is_leaf(NULL) && !neap_grad_of(NULL));
  check(neap_set_grad(NULL, NULL) < 0 && neap_backward(NULL) < 0 && neap_hook(NULL, 1) < 0);
  check(neap_walk_step(NULL) < 0 && neap_walk_grads(NULL, NULL) < 0 && !neap_walk_host(NULL) && neap_walk_answer(NULL, NULL) < 0);
  neap_walk_end(NULL);
  check(neap_write_png("/nowhere", NULL) < 0);
  check(neap_archive_count(NULL) == 0 && !neap_archive_name(NULL, 0) && !neap_archive_tensor(NULL, 0));
  check(neap_archive_meta_count(NULL) == 0 && !neap_archive_meta(NULL, 0, NULL));
  neap_archive_close(NULL);
}

static void null_modules(void) {
  test_case("null: and of modules, optimizers and jobs");
  char text[8] = "x";
  neap_module_retain(NULL);
  neap_module_release(NULL);
  check(neap_sequential_set(NULL, 0, NULL) < 0);
  neap_module_train(NULL, 1);
  neap_module_zero_grad(NULL);
  check(!neap_forward(NULL, NULL) && !neap_forward_many(NULL, 0, NULL) && !neap_module_is_training(NULL) && neap_module_layer(NULL) == -1);
  check(neap_module_text(NULL, text, sizeof text)[0] == 0 && neap_module_child_count(NULL) == 0 && !neap_module_child(NULL, 0));
  check(neap_module_param_count(NULL) == 0 && !neap_module_param_name(NULL, 0) && !neap_module_param(NULL, 0));
  check(!neap_module_param_is_buffer(NULL, 0) && neap_module_set_param(NULL, 0, NULL) < 0 && neap_module_to(NULL, NEAP_F64) < 0);
  check(neap_module_each(NULL, visit_none, NULL) == 0 && neap_module_parameters(NULL, NULL, 0) == 0);
  check(neap_save_module(NULL, "/nowhere") < 0 && neap_load_module(NULL, "/nowhere") < 0);
  check(neap_init_constant(NULL, 1) < 0 && neap_init_uniform(NULL, 0, 1, NULL) < 0 && neap_init_normal(NULL, 0, 1, NULL) < 0);
  check(neap_init_trunc_normal(NULL, 0, 1, -2, 2, NULL) < 0 && neap_init_orthogonal(NULL, 1, NULL) < 0);
  check(neap_init_xavier_uniform(NULL, 1, NULL) < 0 && neap_init_xavier_normal(NULL, 1, NULL) < 0);
  check(neap_init_kaiming_uniform(NULL, 0, NEAP_FAN_IN, "relu", NULL) < 0 && neap_init_kaiming_normal(NULL, 0, NEAP_FAN_IN, "relu", NULL) < 0);
  neap_optimizer_release(NULL);
  neap_optimizer_zero_grad(NULL);
  neap_optimizer_cancel(NULL);
  check(neap_optimizer_tell(NULL, 1) < 0 && neap_lbfgs_get(NULL, NULL) < 0 && neap_lbfgs_set(NULL, NULL) < 0);
  check(neap_optimizer_add(NULL, 0, NULL, 0, NULL) < 0 && neap_optimizer_step(NULL) < 0 && neap_optimizer_group_count(NULL) == 0);
  check(neap_optimizer_group_size(NULL, 0) == 0 && !neap_optimizer_parameter(NULL, 0, 0) && neap_optimizer_setting(NULL, 0, 0).kind == 0);
  check(neap_optimizer_set(NULL, 0, 0, (neap_value){0}) < 0 && neap_optimizer_steps(NULL, 0, 0) == 0);
  check(neap_optimizer_set_steps(NULL, 0, 0, 1) < 0 && !neap_optimizer_state(NULL, 0, 0, 0));
  check(!neap_job_new(NULL, NULL, 0) && neap_job_begin(NULL, NULL, NULL) < 0 && neap_step(NULL, 0) < 0 && neap_job_loss(NULL) == 0);
  neap_job_release(NULL);

  test_case("null: a NULL that no failure explains is an error that says where");
  neap_context *c = neap_open(NULL);
  neap_tensor *none = NULL;
  neap_module *missing = NULL, *identity = neap_module_new(c, neap_layer_find("Identity"), 0, NULL);
  neap_optimizer *o = neap_optimizer_new(c, 0);
  check(neap_forward(identity, NULL) == NULL);
  check_text(c, "Identity: x is missing: a tensor");
  neap_clear(c);
  check(neap_sequential(c, 1, &missing) == NULL);
  check_text(c, "Sequential: layer 0 is NULL");
  neap_clear(c);
  check(neap_optimizer_add(o, 1, &none, 0, NULL) < 0);
  check_text(c, "parameter 0 is NULL");
  neap_clear(c);
  check(neap_grad(c, 1, &none, NULL, 0, NULL, NULL, 0) < 0);
  check_text(c, "output 0 is NULL");
  neap_clear(c);
  check(neap_save(c, "/nowhere", 1, (const char *[]){"a"}, &none, 0, NULL) < 0);
  check_text(c, "tensor 0 is NULL");
  neap_clear(c);
  neap_optimizer_release(o);
  neap_module_release(identity);
  neap_close(c);
}

/* ---- programs whose n-th request is refused ---- */

static char path[64];

static neap_tensor *ramp(neap_context *c, int64_t rows, int64_t columns) {
  neap_tensor *line = neap_arange(c, 0, (double)(rows * columns), 1, NEAP_F32);
  return neap_reshape(c, line, 2, (const int64_t[]){rows, columns});
}

static double first(neap_tensor *t) { return t ? *(const float *)neap_read(t) : 0; }

static neap_module *layer(neap_context *c, const char *name, int64_t in, int64_t out) {
  neap_value a[2] = {{.kind = NEAP_INT, .i = in}, {.kind = NEAP_INT, .i = out}};
  return neap_module_new(c, neap_layer_find(name), in ? 2 : 0, a);
}

static neap_module *small_net(neap_context *c) {
  neap_module *part[3] = {layer(c, "Linear", 3, 5), layer(c, "ReLU", 0, 0), layer(c, "Linear", 5, 2)}, *inner, *net = NULL;
  inner = neap_sequential(c, 2, part);
  if (inner) net = neap_sequential(c, 2, (neap_module *[]){inner, part[2]});
  neap_module_release(inner);
  for (int i = 0; i < 3; i++) neap_module_release(part[i]);
  return net;
}

static neap_optimizer *over(neap_context *c, neap_module *net, const char *rule) {
  neap_tensor *w[8];
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find(rule));
  neap_optimizer_add(o, neap_module_parameters(net, w, 8), w, 0, NULL);
  return o;
}

static void in_slices(neap_context *c) {
  neap_module *net = small_net(c);
  neap_optimizer *o = over(c, net, "Adam");
  neap_job *j = neap_job_new(net, o, neap_op_find("mse_loss"));
  neap_tensor *x = ramp(c, 4, 3), *y = ramp(c, 4, 2);
  for (int i = 0; i < 2; i++)
    if (neap_job_begin(j, x, y) == NEAP_OK)
      while (neap_step(j, 0) == 1) {}
  neap_job_release(j);
  neap_optimizer_release(o);
  neap_module_release(net);
}

static void other_dtype(neap_context *c) {
  neap_module *net = small_net(c);
  neap_backward(neap_sum(c, neap_forward(net, ramp(c, 4, 3)), 0, NULL, 0, -1));
  int before = net ? (int)neap_dtype_of(neap_module_param(neap_module_child(net, 1), 0)) : -1, status = neap_module_to(net, NEAP_F64);
  for (int i = 0; net && status < 0 && i < 2; i++) /* all or none */
    check((int)neap_dtype_of(neap_module_param(neap_module_child(net, 1), i)) == before);
  neap_module_zero_grad(net);
  neap_module_release(net);
}

static void saved_and_loaded(neap_context *c) {
  neap_module *net = small_net(c), *other = small_net(c);
  neap_tensor *w = neap_module_param(neap_module_child(other, 1), 1), *last = neap_module_param(neap_module_child(net, 1), 1);
  int status = neap_save_module(net, path);
  double was = first(w);
  neap_init_constant(last, 7); /* not what is in the file */
  if (status == NEAP_OK && neap_load_module(other, path) < 0) {
    neap_clear(c); /* all or nothing; the error is set again for who counts them */
    check(first(w) == was);
    neap_new(c, NEAP_F32, 9, NULL);
  }
  neap_module_release(net);
  neap_module_release(other);
}

static void state_moved(neap_context *c) {
  neap_module *net = small_net(c);
  neap_optimizer *o = over(c, net, "RMSprop");
  neap_tensor *loss = neap_sum(c, neap_forward(net, ramp(c, 4, 3)), 0, NULL, 0, -1), *w[8];
  int n = neap_module_parameters(net, w, 8);
  neap_backward(loss);
  neap_clip_grad_norm(c, net ? n : 0, w, 0.5, 2);
  neap_clip_grad_norm(c, net ? n : 0, w, 0.5, 3);
  neap_clip_grad_value(c, net ? n : 0, w, 0.1);
  neap_penalty(c, net ? n : 0, w, 0.1, 0.2);
  neap_optimizer_step(o);
  neap_optimizer *p = over(c, net, "RMSprop");
  for (int i = 0; i < neap_optimizer_group_size(o, 0); i++) {
    neap_optimizer_set_steps(p, 0, i, neap_optimizer_steps(o, 0, i));
    neap_tensor *from = neap_optimizer_state(o, 0, i, 0), *to = neap_optimizer_state(p, 0, i, 0);
    if (from && to) neap_copy_(c, to, from);
  }
  neap_optimizer_set(p, 0, 0, (neap_value){.kind = NEAP_NUMBER, .d = 0.5});
  neap_optimizer_step(p);
  neap_optimizer_release(o);
  neap_optimizer_release(p);
  neap_module_release(net);
}

/* Two steps of every rule on one matrix: whoever cannot make a step has not begun it. */
static void every_rule(neap_context *c) {
  for (int rule = 0; rule < neap_rule_count() && neap_error(c) == NEAP_OK; rule++) {
    const neap_rule_info *info = neap_rule_about(c, rule);
    if (info && info->told) continue;
    neap_tensor *w = ramp(c, 3, 4);
    neap_set_requires_grad(w, 1);
    neap_optimizer *o = neap_optimizer_new(c, rule);
    neap_optimizer_add(o, 1, &w, 0, NULL);
    for (int step = 0; step < 2; step++) {
      neap_backward(neap_sum(c, neap_square(c, w), 0, NULL, 0, -1));
      float before[12], after[12];
      if (neap_error(c) != NEAP_OK || neap_copy_out(w, NEAP_F32, before) != NEAP_OK) break;
      int status = neap_optimizer_step(o);
      memcpy(after, neap_read(w), sizeof after);
      check((status == NEAP_OK) == (memcmp(before, after, sizeof after) != 0));
      check(neap_optimizer_steps(o, 0, 0) == step + (status == NEAP_OK));
      neap_optimizer_zero_grad(o);
    }
    neap_optimizer_release(o);
  }
}

/* Two steps of LBFGS, its state taken over by another one. A step that ends early leaves weights from before a search. */
static void lbfgs(neap_context *c) {
  const neap_value set[] = {{0}, {.kind = NEAP_INT, .i = 3}, {0}, {0}, {0}, {.kind = NEAP_INT, .i = 2}, {.kind = NEAP_ENUM, .i = 1}};
  neap_tensor *w = ramp(c, 3, 4);
  neap_set_requires_grad(w, 1);
  neap_optimizer *o[2] = {NULL};
  for (int k = 0; k < 2; k++) {
    o[k] = neap_optimizer_new(c, neap_rule_find("LBFGS"));
    neap_optimizer_add(o[k], 1, &w, 7, set);
  }
  for (int k = 0; k < 2; k++) {
    int more = 1;
    while (more == 1) {
      neap_optimizer_zero_grad(o[k]);
      neap_tensor *loss = neap_sum(c, neap_square(c, neap_square(c, w)), 0, NULL, 0, -1);
      if (neap_backward(loss) != NEAP_OK) break;
      more = neap_optimizer_tell(o[k], neap_item(loss));
    }
    neap_optimizer_cancel(o[k]);
    neap_lbfgs_state s;
    if (k == 0 && neap_lbfgs_get(o[0], &s) == 1) {
      neap_lbfgs_set(o[1], &s);
      neap_lbfgs_state_release(&s);
    }
  }
  for (int k = 0; k < 2; k++) neap_optimizer_release(o[k]);
}

static void drawn(neap_context *c) {
  neap_generator *g = neap_generator_new(c, 5);
  neap_tensor *w = neap_new(c, NEAP_F32, 2, (const int64_t[]){40, 50});
  neap_init_orthogonal(w, 1, g);
  neap_init_trunc_normal(w, 0, 1, -2, 2, g);
  neap_init_kaiming_uniform(w, 0, NEAP_FAN_OUT, "relu", NULL);
  neap_generator_release(g);
}

static void hooked(neap_context *c) {
  neap_tensor *x = ramp(c, 2, 2), *grads[2] = {NULL};
  neap_set_requires_grad(x, 1);
  neap_hook(x, 3);
  neap_tensor *y = neap_mul(c, x, x), *z = neap_narrow(c, y, 0, 0, 1), *own = ramp(c, 1, 2);
  neap_custom(c, 9, 1, &z, 1, &own);
  neap_tensor *l = neap_sum(c, own, 0, NULL, 0, -1);
  neap_walk *w = l ? neap_walk_begin(c, 1, &l, NULL, 2, (neap_tensor *[]){x, y}, NEAP_CREATE_GRAPH) : NULL;
  for (int more = w ? 1 : 0; more > 0;) {
    more = neap_walk_step(w);
    const neap_walk_request *r = more == NEAP_WALK_HOST ? neap_walk_host(w) : NULL;
    if (!r) continue;
    neap_tensor *answer = neap_neg(c, r->out_grads[0]);
    if (neap_walk_answer(w, &answer) < 0) break;
  }
  if (w) neap_walk_grads(w, grads);
  neap_walk_end(w);
}

static void other_context(neap_context *c) {
  neap_context *d = neap_open(NULL);
  neap_tensor *there = neap_new(d, NEAP_F32, 1, (const int64_t[]){3}), *here = neap_share(there, c);
  neap_init_constant(there, 2);
  neap_release(there);
  neap_close(d);
  check(!here || first(here) == 2);
}

typedef struct program { const char *name; void (*run)(neap_context *c); int spared; } program; /* requests that it can do without */
static const program programs[] = {
  {"refused: a step in slices", in_slices, 1 /* what slices cost is not remembered */}, {"refused: another dtype", other_dtype, 0},
  {"refused: weights saved and loaded", saved_and_loaded, 0}, {"refused: an optimizer's state moved", state_moved, 0},
  {"refused: every update rule", every_rule, 0}, {"refused: LBFGS", lbfgs, 0}, {"refused: initialisers", drawn, 0}, {"refused: hooks and functions of the host's", hooked, 0},
  {"refused: memory of another context", other_context, 0}};

/* Refuses request `refuse` and the one after it, which is the same again after a trim. */
typedef struct refusing { host_memory memory; long refuse; } refusing;

static void *refusing_alloc(void *user, size_t size, size_t align) {
  refusing *r = user;
  long next = r->memory.calls + 1;
  r->memory.fail_at = next == r->refuse || next == r->refuse + 1 ? next : 0;
  return host_alloc(&r->memory, size, align);
}

static int refused(const program *p, long n, int *spared) {
  refusing r = {.refuse = n};
  neap_context *c = neap_open(&(neap_config){.user = &r, .alloc = refusing_alloc, .dealloc = host_dealloc, .no_pool = 1});
  if (!c) {
    check_int(r.memory.live, 0);
    return 1;
  }
  neap_scope *s = neap_scope_open(c), *rest = NULL;
  if (s) p->run(c);
  int reached = r.memory.calls >= n;
  check_at(__LINE__, reached || neap_error(c) == NEAP_OK, "request %ld: %s", n, neap_error_message(c));
  *spared += reached && neap_error(c) == NEAP_OK;
  neap_clear(c);
  r.refuse = 0;
  if (!s) rest = neap_scope_open(c);
  neap_tensor *two = neap_add(c, neap_full(c, 0, NULL, 1, NEAP_F32), neap_full(c, 0, NULL, 1, NEAP_F32)); /* it goes on */
  check(two && neap_item(two) == 2);
  neap_scope_close(s);
  neap_scope_close(rest);
  neap_close(c);
  check_at(__LINE__, r.memory.live == 0, "request %ld: %ld blocks are left", n, r.memory.live);
  return reached;
}

static void all_refused(void) {
  snprintf(path, sizeof path, "/tmp/neap_refused_%ld.safetensors", (long)getpid());
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    test_case(programs[i].name);
    int spared = 0;
    long n = 1;
    while (refused(&programs[i], n, &spared) && check_failures < 20) n++;
    check(n > 4);
    check_int(spared, programs[i].spared);
    printf("# %ld requests\n", n - 1);
  }
  remove(path);
}

/* ---- nothing and single elements ---- */

static void empties(void) {
  test_case("empty: layers, losses, gradients and optimizers take tensors of no elements and of no dimensions");
  neap_context *c = neap_open(&(neap_config){.seed = 2});
  neap_scope *s = neap_scope_open(c);
  snprintf(path, sizeof path, "/tmp/neap_empty_%ld.safetensors", (long)getpid());
  neap_tensor *p[3] = {neap_zeros(c, 2, (const int64_t[]){0, 3}, NEAP_F32), neap_full(c, 0, NULL, 2, NEAP_F32), neap_ones(c, 1, (const int64_t[]){3}, NEAP_F64)};
  for (int i = 0; i < 3; i++) neap_set_requires_grad(p[i], 1);
  for (int rule = 0; rule < neap_rule_count(); rule++) {
    if (neap_rule_about(c, rule)->told) continue;
    neap_optimizer *o = neap_optimizer_new(c, rule);
    int status = neap_optimizer_add(o, 3, p, 0, NULL);
    check(status == NEAP_OK || status == NEAP_ERR_SHAPE); /* a rule for matrices alone */
    if (status != NEAP_OK) {
      neap_clear(c);
      neap_optimizer_release(o);
      continue;
    }
    for (int step = 0; step < 2; step++) {
      neap_tensor *l = neap_add(c, neap_sum(c, neap_square(c, p[1]), 0, NULL, 0, -1), neap_sum(c, p[0], 0, NULL, 0, -1));
      check(neap_backward(neap_add(c, l, neap_sum(c, p[2], 0, NULL, 0, -1))) == NEAP_OK);
      check(isfinite(neap_clip_grad_norm(c, 3, p, 1, 2)));
      check(neap_optimizer_step(o) == NEAP_OK);
      neap_optimizer_zero_grad(o);
    }
    check(neap_item(p[1]) < 2 && neap_optimizer_steps(o, 0, 1) == 2);
    for (int slot = 0; slot < 3; slot++) neap_release(neap_optimizer_state(o, 0, 0, slot));
    check(neap_error(c) == NEAP_OK);
    neap_optimizer_release(o);
  }
  neap_module *net = small_net(c);
  neap_optimizer *o = over(c, net, "SGD");
  neap_tensor *y = neap_forward(net, neap_zeros(c, 2, (const int64_t[]){0, 3}, NEAP_F32));
  check(y && neap_count(y) == 0 && neap_shape(y)[1] == 2);
  check(neap_backward(neap_sum(c, y, 0, NULL, 0, -1)) == NEAP_OK && neap_optimizer_step(o) == NEAP_OK);
  y = neap_forward(net, neap_zeros(c, 8, (const int64_t[]){1, 2, 1, 1, 2, 1, 1, 3}, NEAP_F32));
  check(y && neap_ndim(y) == 8 && neap_count(y) == 8);
  neap_job *j = neap_job_new(net, o, neap_op_find("mse_loss"));
  check(neap_job_begin(j, neap_zeros(c, 1, (const int64_t[]){3}, NEAP_F32), neap_zeros(c, 1, (const int64_t[]){2}, NEAP_F32)) == NEAP_OK);
  check(neap_step(j, 1 << 30) == 0 && isfinite(neap_job_loss(j)));
  neap_job_release(j);
  neap_optimizer_release(o);
  neap_module_release(net);

  const char *names[] = {"none", "one", "three"};
  if (neap_save(c, path, 3, names, p, 0, NULL) != NEAP_ERR_UNSUPPORTED) {
    neap_archive *a = neap_archive_open(c, path);
    check(neap_archive_count(a) == 3);
    neap_tensor *none = neap_archive_tensor(a, 0), *one = neap_archive_tensor(a, 1);
    check(none && neap_ndim(none) == 2 && neap_shape(none)[0] == 0 && one && neap_ndim(one) == 0 && neap_item(one) == neap_item(p[1]));
    neap_archive_close(a);
  }
  neap_clear(c);
  neap_scope_close(s);
  remove(path);
  check(neap_memory(c).live < 100000);
  neap_close(c);
}

int main(void) {
  null_tensors();
  null_modules();
  all_refused();
  empties();
  return check_done();
}
