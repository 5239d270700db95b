/* Refusals that only a program in C can provoke, since Lua's binding never gets so far: arguments of the wrong kind,
 * contexts that are mixed, ops that have no name in Lua. Each line is a call and the whole text of its message. */
#include "check.h"

#define INT(v) {.kind = NEAP_INT, .i = (v)}
#define NUMBER(v) {.kind = NEAP_NUMBER, .d = (v)}
#define FLAG(v) {.kind = NEAP_FLAG, .i = (v)}
#define CHOICE(v) {.kind = NEAP_ENUM, .i = (v)}
#define DTYPE(v) {.kind = NEAP_DTYPE, .i = (v)}
#define TENSOR(v) {.kind = NEAP_TENSOR, .t = (v)}
#define INTS(...) {.kind = NEAP_INTS, .n = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), .is = (int64_t[]){__VA_ARGS__}}

/* Calls the op with the arguments; the next line holds what its message must contain. */
static neap_context *ctx;
static void call(const char *op, int in_place, int n, const neap_value *v) {
  neap_tensor *out[3];
  neap_clear(ctx);
  int o = neap_op_find(op);
  if (neap_op_about(ctx, o)->marks & NEAP_OP_LIST) check(neap_call_list(ctx, o, n, v, out, 3, NULL) < 0);
  else check(neap_call(ctx, o, n, v, out, in_place, NULL) < 0);
}
#define CALL(op, ...) call(op, 0, sizeof((neap_value[]){__VA_ARGS__}) / sizeof(neap_value), (neap_value[]){__VA_ARGS__})

static void kinds(neap_tensor *x) {
  test_case("rules: an argument of the wrong kind is named with what was wanted");
  neap_value none = {.kind = NEAP_TENSOR}, bad = {.kind = NEAP_INTS, .n = -1}, text = {.kind = NEAP_TEXT, .s = "x"};
  CALL("relu", INT(1), INT(2));
  check_text(ctx, "relu: takes 1 argument at most, got 2");
  CALL("sum", TENSOR(x), NUMBER(1));
  check_text(ctx, "sum: dims must be a list of integers, got a number");
  CALL("sum", TENSOR(x), INT(0), INT(1));
  check_text(ctx, "sum: keepdim must be a bool, got an integer");
  CALL("sum", TENSOR(x), INT(0), FLAG(1), text);
  check_text(ctx, "sum: dtype must be a dtype, got a text");
  CALL("sum", TENSOR(x), {.kind = 99});
  check_text(ctx, "sum: dims must be a list of integers, got something unknown");
  CALL("sum", TENSOR(x), bad);
  check_text(ctx, "sum: dims must be a list of integers, got one that is of negative length");
  CALL("sum", none);
  check_text(ctx, "sum: x must be a tensor, got one that is NULL");
  CALL("mse_loss", TENSOR(x), TENSOR(x), FLAG(1));
  check_text(ctx, "mse_loss: reduction must be a choice, got a bool");
  CALL("mse_loss", TENSOR(x), TENSOR(x), CHOICE(7));
  check_text(ctx, "mse_loss: reduction is choice 7 of none|mean|sum, counted from 0");
  CALL("rand", INTS(2), DTYPE(0), INT(1));
  check_text(ctx, "rand: generator must be a generator, got an integer");
  CALL("to", TENSOR(x), DTYPE(99));
  check_text(ctx, "to: dtype: there is no dtype with number 99");
  CALL("split", TENSOR(x), NUMBER(1));
  check_text(ctx, "split: sizes must be an integer or a list of integers, got a number");
  CALL("einsum", INT(1));
  check_text(ctx, "einsum: equation must be a text, got an integer");
  check(neap_call(ctx, (neap_clear(ctx), 1 << 20), 0, NULL, NULL, 0, NULL) < 0);
  check_text(ctx, "there is no op with number 1048576");
}

static void in_place(neap_tensor *x) {
  test_case("rules: in-place forms that there are not, and memory that is only read");
  static float numbers[2] = {1, 2};
  neap_tensor *mapped = neap_wrap((neap_clear(ctx), ctx), NEAP_F32, 1, (int64_t[]){2}, numbers, 1, NULL, NULL);
  call("sum", 1, 1, (neap_value[]){TENSOR(x)});
  check_text(ctx, "sum_: has no in-place form");
  call("relu", 1, 1, (neap_value[]){TENSOR(mapped)});
  check_text(ctx, "relu_: the tensor's memory is read-only");
  neap_clear(ctx);
  neap_tensor *table = neap_wrap(ctx, NEAP_F32, 2, (int64_t[]){2, 1}, numbers, 1, NULL, NULL), *row = neap_zeros(ctx, 1, (int64_t[]){1}, NEAP_I64);
  neap_value none = {.kind = NEAP_NONE};
  CALL("embedding", TENSOR(row), TENSOR(table), none, NUMBER(1));
  check_text(ctx, "embedding: max_norm changes weight in place, whose memory is read-only");
  neap_clear(ctx);
  neap_tensor *batch = neap_ones(ctx, 2, (int64_t[]){3, 2}, NEAP_F32);
  CALL("batch_norm", TENSOR(batch), TENSOR(mapped), none, none, none, FLAG(1));
  check_text(ctx, "batch_norm: the memory of running_mean is read-only");
  CALL("batch_norm_at", TENSOR(batch), none, none, TENSOR(mapped));
  check_text(ctx, "batch_norm_at: mean and variance come together");
  CALL("embedding_bag_at", TENSOR(row), TENSOR(mapped), TENSOR(row), none, FLAG(1), none, FLAG(0));
  check_text(ctx, "embedding_bag_at: takes input (n), weight (entries, size) and offsets (bags + 1)");
  neap_release(table);
  neap_release(row);
  neap_release(batch);
  neap_cancel(ctx, 1);
  CALL("relu", TENSOR(x));
  check_text(ctx, "relu: cancelled");
  neap_cancel(ctx, 0);
  neap_release(mapped);
}

static void contexts(neap_tensor *x) {
  test_case("rules: an op does not mix contexts");
  neap_context *other = neap_open(NULL);
  neap_tensor *y = neap_ones(other, 1, (int64_t[]){3}, NEAP_F32);
  neap_generator *g = neap_generator_new(other, 1);
  CALL("add", TENSOR(x), TENSOR(y));
  check_text(ctx, "add: z belongs to another context: neap_share gives a handle in this one");
  CALL("cat", {.kind = NEAP_TENSORS, .n = 2, .ts = (neap_tensor *[]){x, y}});
  check_text(ctx, "cat: tensors belongs to another context: neap_share gives a handle in this one");
  CALL("rand", INTS(2), {0}, {.kind = NEAP_GENERATOR, .g = g});
  check_text(ctx, "rand: generator belongs to another context: one of this context draws");
  neap_generator_release(g);
  neap_release(y);
  neap_close(other);
}

static void hidden(neap_tensor *x) {
  test_case("rules: ops without a name in Lua check their arguments too");
  neap_clear(ctx);
  neap_tensor *g = neap_ones(ctx, 2, (int64_t[]){2, 2}, NEAP_F32);
  CALL("place", TENSOR(x), INTS(4), INT(0), INT(2), INT(1));
  check_text(ctx, "place: x (3) does not fit into (4) along dimension 0 from 2 on in steps of 1");
  CALL("place", TENSOR(g), INTS(4, 3), INT(0), INT(0), INT(1));
  check_text(ctx, "place: x (2, 2) does not fit into (4, 3) along dimension 0 from 0 on in steps of 1");
  CALL("pad_add", TENSOR(x), INTS(1, 1), CHOICE(1), INTS(3));
  check_text(ctx, "pad_add: g (3) is not the padded shape of (3)");
  CALL("as_strided_add", TENSOR(x), INT(4), INTS(1, 1), INT(0));
  check_text(ctx, "as_strided_add: 2 strides for 1 dimensions: there must be as many");
  CALL("as_strided_add", TENSOR(x), INT(4), INTS(2), INT(0));
  check_text(ctx, "as_strided_add: the region reaches outside of the 4 elements of y");
  CALL("unfold_add", TENSOR(x), INT(0), INT(3), INT(1));
  check_text(ctx, "unfold_add: g must have 2 dimensions or more, got 1: its last one holds the runs");
  CALL("unfold_add", TENSOR(g), INT(0), INT(4), INT(1));
  check_text(ctx, "unfold_add: 2 runs of 2, 1 apart, do not cover 4");
  CALL("attention", TENSOR(x), TENSOR(x), TENSOR(x), {.kind = NEAP_NONE}, NUMBER(0), FLAG(0), NUMBER(1), FLAG(0), INTS(1));
  check_text(ctx, "attention: state has 3 numbers, seed, offset and shift, got 1");
  CALL("dropout_at", TENSOR(x), NUMBER(0.5), INTS(1));
  check_text(ctx, "dropout_at: state has 2 numbers, seed and offset, got 1");
  neap_clear(ctx);
  neap_tensor *image = neap_ones(ctx, 3, (int64_t[]){1, 2, 4}, NEAP_F32), *w = neap_ones(ctx, 3, (int64_t[]){2, 2, 3}, NEAP_F32);
  CALL("convolution_input", TENSOR(image), TENSOR(w), {0}, INTS(1), INTS(0), INTS(1), INT(1), INTS(5));
  check_text(ctx, "convolution_input: g (1, 2, 4) and weight (2, 2, 3) are not of a convolution of that size");
  CALL("convolution_weight", TENSOR(image), TENSOR(image), INTS(3), INTS(1), INTS(0), INTS(1), INT(1));
  check_text(ctx, "convolution_weight: g (1, 2, 4) and x (1, 2, 4) are not of a convolution with that kernel");
  CALL("max_windows", TENSOR(image), INTS(1, 1), INTS(1), INTS(0), INTS(1), INTS(2));
  check_text(ctx, "max_windows: kernel, stride, padding, dilation and size must be of one to three dimensions, fewer than x has");
  neap_release(image);
  neap_release(w);
  neap_release(g);
}

static void memory(void) {
  test_case("rules: what memory cannot hold is refused under the op's name");
  CALL("zeros", INTS((int64_t)1 << 50));
  check_text(ctx, "zeros: out of memory: the system refused 4194304.0 GiB");
}

static void custom(neap_tensor *x) {
  test_case("rules: an output of a custom function is fresh");
  neap_clear(ctx);
  neap_set_requires_grad(x, 1);
  neap_tensor *y = neap_relu(ctx, x);
  check(neap_custom(ctx, 1, 1, &x, 1, &y) < 0);
  check_text(ctx, "an output of a custom function must be a fresh tensor without history of its own");
  neap_clear(ctx);
  neap_release(y);
}

int main(void) {
  ctx = neap_open(NULL);
  neap_tensor *x = neap_ones(ctx, 1, (int64_t[]){3}, NEAP_F32);
  kinds(x);
  in_place(x);
  contexts(x);
  hidden(x);
  memory();
  custom(x);
  neap_release(x);
  neap_close(ctx);
  return check_done();
}
