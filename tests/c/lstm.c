/* A recurrent network from C alone: two layers of LSTM and a linear one learn to add bits that come one at a time, are
 * evaluated on sequences they have not seen, also of several lengths, saved, loaded, and cloned. */
#include <unistd.h>
#include "check.h"

enum { T = 6, B = 64, HIDDEN = 24, CLASSES = T + 1 };

static neap_context *c;

static neap_module *make(const char *name, int n, const neap_value *args) {
  return neap_module_new(c, neap_layer_find(name), n, args);
}
#define INT(v) {.kind = NEAP_INT, .i = v}

static uint32_t state = 1;
static int coin(void) {
  state = state * 1664525u + 1013904223u;
  return (int)(state >> 31);
}

/* x (T, B, 1): bits; y (B): how many of the first lengths[i] are ones. */
static void problem(const int64_t *lengths, neap_tensor **x, neap_tensor **y) {
  float bits[T * B];
  int64_t sums[B] = {0};
  for (int t = 0; t < T; t++)
    for (int i = 0; i < B; i++) {
      bits[t * B + i] = (float)coin();
      if (!lengths || t < lengths[i]) sums[i] += bits[t * B + i] > 0;
    }
  *x = neap_copy_in(c, NEAP_F32, 3, (const int64_t[]){T, B, 1}, bits);
  *y = neap_copy_in(c, NEAP_I64, 1, (const int64_t[]){B}, sums);
}

/* (B, CLASSES): from the upper layer's last h, which is the last one that counts. */
static neap_tensor *forward(neap_module *lstm, neap_module *head, neap_tensor *x, neap_tensor *lengths) {
  neap_value in[4] = {{.kind = NEAP_TENSOR, .t = x}, {0}, {0}, {.kind = lengths ? NEAP_TENSOR : NEAP_NONE, .t = lengths}};
  neap_tensor *out[3];
  if (neap_module_call(lstm, 4, in, out) != 3) return NULL;
  return neap_forward(head, neap_select(c, out[1], 0, 1));
}

static double accuracy(neap_module *lstm, neap_module *head, const int64_t *lengths) {
  neap_scope *s = neap_scope_open(c);
  int mode = neap_grad_mode(c, 0);
  neap_tensor *x, *y, *many = lengths ? neap_copy_in(c, NEAP_I64, 1, (const int64_t[]){B}, lengths) : NULL;
  problem(lengths, &x, &y);
  neap_tensor *guess = neap_argmax(c, forward(lstm, head, x, many), 1, 0);
  double right = neap_error(c) ? -1 : neap_item(neap_mean(c, neap_eq(c, guess, y), 0, NULL, 0, NEAP_F32));
  neap_grad_mode(c, mode);
  neap_scope_close(s);
  return right;
}

/* Every other step on rows of several lengths. */
static void train(neap_module *lstm, neap_module *head, neap_optimizer *o, int steps, const int64_t *lengths) {
  for (int i = 0; i < steps && !neap_error(c); i++) {
    neap_scope *s = neap_scope_open(c);
    neap_tensor *x, *y, *many = i % 2 ? neap_copy_in(c, NEAP_I64, 1, (const int64_t[]){B}, lengths) : NULL;
    problem(i % 2 ? lengths : NULL, &x, &y);
    neap_backward(neap_cross_entropy(c, forward(lstm, head, x, many), y, NULL, NEAP_ABSENT, NEAP_REDUCTION_MEAN, 0));
    neap_optimizer_step(o);
    neap_optimizer_zero_grad(o);
    neap_scope_close(s);
  }
}

int main(void) {
  c = neap_open(NULL);
  neap_seed(c, 3);

  test_case("lstm: two layers learn to count ones");
  neap_module *lstm = make("LSTM", 3, (neap_value[]){INT(1), INT(HIDDEN), INT(2)});
  neap_module *head = make("Linear", 2, (neap_value[]){INT(HIDDEN), INT(CLASSES)});
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find("Adam"));
  neap_tensor *w[16];
  int n = neap_module_parameters(lstm, w, 16);
  check(n == 8 && strcmp(neap_module_param_name(lstm, 5), "weight_hh_l1") == 0);
  n += neap_module_parameters(head, w + n, 16 - n);
  check(neap_optimizer_add(o, n, w, 1, &(neap_value){.kind = NEAP_NUMBER, .d = 0.01}) == NEAP_OK);
  int64_t lengths[B];
  for (int i = 0; i < B; i++) lengths[i] = 1 + i % T;
  double before = accuracy(lstm, head, NULL);
  train(lstm, head, o, 400, lengths);
  neap_module_train(lstm, 0);
  double after = accuracy(lstm, head, NULL);
  check_at(__LINE__, before < 0.5 && after > 0.95, "accuracy %g, then %g: %s", before, after, neap_error_message(c));

  test_case("lstm: rows of several lengths end at their own");
  double ragged = accuracy(lstm, head, lengths);
  check_at(__LINE__, ragged > 0.95, "accuracy %g", ragged);
  neap_scope *s = neap_scope_open(c);
  neap_tensor *x, *y;
  problem(NULL, &x, &y);
  neap_tensor *cut = neap_narrow(c, x, 0, 0, 2), *many = neap_full(c, 1, (const int64_t[]){B}, 2, NEAP_I64);
  neap_tensor *a = forward(lstm, head, x, many), *b = forward(lstm, head, cut, NULL);
  check(!neap_error(c) && neap_item(neap_amax(c, neap_abs(c, neap_sub(c, a, b)), 0, NULL, 0)) < 1e-5);

  test_case("lstm: weights go to a file and back, and a copy is independent");
  neap_module *copy = neap_module_clone(lstm), *fresh = make("LSTM", 3, (neap_value[]){INT(1), INT(HIDDEN), INT(2)});
  char path[] = "/tmp/neap-lstm-XXXXXX";
  int file = mkstemp(path);
  check(file >= 0 && neap_save_module(lstm, path) == NEAP_OK && neap_load_module(fresh, path) == NEAP_OK);
  close(file);
  unlink(path);
  neap_init_constant(neap_module_param(lstm, 0), 0);
  neap_tensor *now = forward(copy, head, cut, NULL), *again = forward(fresh, head, cut, NULL);
  check(!neap_error(c) && neap_item(neap_amax(c, neap_abs(c, neap_sub(c, now, b)), 0, NULL, 0)) == 0);
  check(neap_item(neap_amax(c, neap_abs(c, neap_sub(c, again, b)), 0, NULL, 0)) == 0);
  neap_scope_close(s);

  test_case("lstm: everything is given back");
  neap_module_release(copy);
  neap_module_release(fresh);
  neap_module_release(lstm);
  neap_module_release(head);
  neap_optimizer_release(o);
  neap_close(c);
  check(1);
  return check_done();
}
