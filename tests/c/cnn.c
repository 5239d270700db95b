/* A small convolutional net with neap.h alone: built, trained on bars that lie or stand, evaluated on new ones; the same bits
 * at any number of threads; and channels that were left out. */
#include "check.h"

enum { SIDE = 12, BATCH = 32, CLASSES = 4, STEPS = 60, SEEN = 256 };

static neap_module *made(neap_context *c, const char *name, int n, const neap_value *settings) {
  int layer = neap_layer_find(name);
  check(layer >= 0);
  return neap_module_new(c, layer, n, settings);
}

#define INT_OF(n) {.kind = NEAP_INT, .i = (n)}
#define LIST_OF(...) {.kind = NEAP_INTS, .n = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), .is = (const int64_t[]){__VA_ARGS__}}

/* 1 x 12 x 12 to 8 x 6 x 6 to 12 x 3 x 3 to 4 classes; the second convolution learns its channels from the first input. */
static neap_module *make_net(neap_context *c) {
  neap_module *part[] = {
    made(c, "Conv2d", 5, (neap_value[]){INT_OF(1), INT_OF(8), LIST_OF(3, 3), LIST_OF(1), LIST_OF(1)}),
    made(c, "ReLU", 0, NULL),
    made(c, "MaxPool2d", 1, (neap_value[]){LIST_OF(2)}),
    made(c, "Conv2d", 5, (neap_value[]){{.kind = NEAP_NONE}, INT_OF(12), LIST_OF(3), LIST_OF(1), {.kind = NEAP_ENUM, .i = -1 - NEAP_PADDING_SAME}}),
    made(c, "ReLU", 0, NULL),
    made(c, "AvgPool2d", 1, (neap_value[]){LIST_OF(2)}),
    made(c, "Flatten", 0, NULL),
    made(c, "Linear", 2, (neap_value[]){INT_OF(12 * 9), INT_OF(CLASSES)}),
  };
  int n = sizeof part / sizeof *part;
  neap_module *net = neap_error(c) ? NULL : neap_sequential(c, n, part);
  for (int i = 0; i < n; i++) neap_module_release(part[i]);
  return net;
}

/* n images of noise with a bar: class 0 lies in the upper half, 1 in the lower, 2 stands on the left, 3 on the right. */
static void draw(neap_context *c, int n, neap_tensor **x, neap_tensor **y) {
  const int64_t shape[] = {n, 1, SIDE, SIDE}, count = n;
  *x = neap_mul(c, neap_rand(c, 4, shape, -1, NULL), neap_full(c, 0, NULL, 0.5, -1));
  *y = neap_randint(c, 0, CLASSES, 1, &count, -1, NULL);
  neap_tensor *place = neap_randint(c, 0, SIDE / 2, 1, &count, -1, NULL);
  check(neap_error(c) == NEAP_OK);
  float *pixel = neap_data(*x);
  const int64_t *class = neap_read(*y), *at = neap_read(place);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < SIDE; k++) {
      int64_t line = at[i] + (class[i] % 2 ? SIDE / 2 : 0), row = class[i] < 2 ? line : k, column = class[i] < 2 ? k : line;
      pixel[(i * SIDE + row) * SIDE + column] = 1;
    }
}

static double accuracy(neap_context *c, neap_module *net) {
  neap_scope *s = neap_scope_open(c);
  neap_tensor *x, *y;
  draw(c, SEEN, &x, &y);
  neap_module_train(net, 0);
  int mode = neap_grad_mode(c, 0);
  neap_tensor *best = neap_argmax(c, neap_forward(net, x), 1, 0);
  double share = neap_item(neap_mean(c, neap_to(c, neap_eq(c, best, y), NEAP_F32), 0, NULL, 0, -1));
  neap_grad_mode(c, mode);
  neap_module_train(net, 1);
  neap_scope_close(s);
  return share;
}

/* Trains for some steps; its weights, one after the other, in out. */
static int trained(int threads, int steps, float *out, double *share) {
  neap_context *c = neap_open(&(neap_config){.seed = 3, .threads = threads - 1});
  neap_module *net = make_net(c);
  neap_tensor *x, *y, *w[6] = {NULL};
  neap_scope *first = neap_scope_open(c);
  draw(c, BATCH, &x, &y);
  check(neap_module_parameters(net, NULL, 0) < 0); /* they do not exist yet */
  neap_clear(c);
  neap_tensor *seen = neap_forward(net, x);
  check(seen && neap_ndim(seen) == 2 && neap_shape(seen)[1] == CLASSES);
  neap_scope_close(first);
  int n = neap_module_parameters(net, w, 6);
  check_int(n, 6);
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find("Adam"));
  neap_optimizer_add(o, n, w, 1, (neap_value[]){{.kind = NEAP_NUMBER, .d = 0.01}});
  neap_job *job = neap_job_new(net, o, neap_op_find("cross_entropy"));
  for (int i = 0; i < steps; i++) {
    neap_scope *s = neap_scope_open(c);
    draw(c, BATCH, &x, &y);
    neap_job_begin(job, x, y);
    neap_step(job, INT64_MAX / 2);
    neap_scope_close(s);
  }
  check(neap_error(c) == NEAP_OK);
  if (share) *share = accuracy(c, net);
  int total = 0;
  for (int i = 0; i < n; i++) {
    neap_copy_out(w[i], NEAP_F32, out + total);
    total += (int)neap_count(w[i]);
  }
  neap_job_release(job);
  neap_optimizer_release(o);
  neap_module_release(net);
  neap_close(c);
  return total;
}

int main(void) {
  static float one[4096], many[4096];
  double share = 0;
  test_case("cnn: a net learns which way a bar lies and where");
  int n = trained(1, STEPS, one, &share);
  check_at(__LINE__, share > 0.95, "accuracy %g", share);
  test_case("cnn: training has the same bits at 1, 2, 3 and 8 threads");
  for (int i = 0; i < 3; i++) {
    int threads = (const int[]){2, 3, 8}[i];
    trained(threads, STEPS, many, NULL);
    check_at(__LINE__, memcmp(one, many, (size_t)n * sizeof *one) == 0, "%d threads", threads);
  }
  return check_done();
}
