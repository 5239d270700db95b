/* Every update rule: the same bits at 1, 2 and 3 threads, in one go and in slices, on weights longer than a block; and each
 * again when the optimizer is made anew from its state. */
#include "check.h"

enum { IN = 170, OUT = 130, BATCH = 8, STEPS = 3, WEIGHTS = IN * OUT + OUT };

static neap_module *linear(neap_context *c) {
  neap_value a[2] = {{.kind = NEAP_INT, .i = IN}, {.kind = NEAP_INT, .i = OUT}};
  return neap_module_new(c, neap_layer_find("Linear"), 2, a);
}

/* Over both parameters, or over the matrix alone for a rule that takes no other. */
static neap_optimizer *over(neap_context *c, neap_module *net, int rule) {
  neap_tensor *w[2];
  neap_optimizer *o = neap_optimizer_new(c, rule);
  check(neap_module_parameters(net, w, 2) == 2);
  int status = neap_optimizer_add(o, 2, w, 0, NULL);
  if (status == NEAP_ERR_SHAPE) {
    neap_clear(c);
    status = neap_optimizer_add(o, 1, w, 0, NULL);
  }
  check(status == NEAP_OK);
  return o;
}

/* Another one that goes on where o is; o is released. */
static neap_optimizer *anew(neap_context *c, neap_module *net, int rule, neap_optimizer *o) {
  const neap_rule_info *info = neap_rule_about(c, rule);
  neap_optimizer *p = over(c, net, rule);
  for (int i = 0; i < neap_optimizer_group_size(o, 0); i++) {
    neap_optimizer_set_steps(p, 0, i, neap_optimizer_steps(o, 0, i));
    for (int k = 0; k < info->n_scalars; k++) neap_optimizer_set_scalar(p, 0, i, k, neap_optimizer_scalar(o, 0, i, k));
    for (int k = 0; k < info->n_slots; k++) {
      neap_tensor *from = neap_optimizer_state(o, 0, i, k), *to = neap_optimizer_state(p, 0, i, k);
      int64_t shape[NEAP_MAX_DIMS];
      check(!from == !to && neap_optimizer_state_shape(o, 0, i, k, shape) == (from ? neap_ndim(from) : -1));
      for (int d = 0; from && d < neap_ndim(from); d++) check(shape[d] == neap_shape(from)[d]);
      if (to) neap_copy_(c, to, from);
    }
  }
  neap_optimizer_release(o);
  return p;
}

static void trained(int rule, int threads, int64_t budget, float *out) {
  neap_context *c = neap_open(&(neap_config){.seed = 3, .threads = threads - 1});
  neap_scope *s = neap_scope_open(c);
  neap_module *net = linear(c);
  neap_optimizer *o = over(c, net, rule);
  neap_tensor *w[2];
  for (int i = 0; i < STEPS; i++) {
    neap_tensor *x = neap_randn(c, 2, (const int64_t[]){BATCH, IN}, -1, NULL), *y = neap_randn(c, 2, (const int64_t[]){BATCH, OUT}, -1, NULL);
    neap_job *job = neap_job_new(net, o, neap_op_find("mse_loss"));
    check(neap_job_begin(job, x, y) == NEAP_OK);
    while (neap_step(job, budget) == 1) {}
    neap_job_release(job);
    if (i == 1 && threads > 1) o = anew(c, net, rule, o);
  }
  check_at(__LINE__, neap_error(c) == NEAP_OK, "%s", neap_error_message(c));
  neap_module_parameters(net, w, 2);
  neap_copy_out(w[0], NEAP_F32, out);
  neap_copy_out(w[1], NEAP_F32, out + IN * OUT);
  neap_optimizer_release(o);
  neap_module_release(net);
  neap_scope_close(s);
  check(neap_memory(c).live < 100000);
  neap_close(c);
}

int main(void) {
  static float one[WEIGHTS], other[WEIGHTS], before[WEIGHTS];
  test_case("rules: the same bits at any number of threads, in slices, and from the state");
  neap_context *c = neap_open(NULL);
  for (int rule = 0; rule < neap_rule_count(); rule++) {
    if (neap_rule_about(c, rule)->told) continue;
    trained(rule, 1, INT64_MAX / 2, one);
    check(rule == 0 || memcmp(one, before, sizeof one) != 0);
    for (int i = 0; i < 3; i++) {
      trained(rule, (const int[]){1, 2, 3}[i], i == 1 ? INT64_MAX / 2 : 0, other);
      check_at(__LINE__, memcmp(one, other, sizeof one) == 0, "rule %d, way %d", rule, i);
    }
    memcpy(before, one, sizeof one);
  }
  neap_close(c);
  return check_done();
}
