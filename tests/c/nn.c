/* Modules from C: layers made by name, what they hold, initialisers, trees, names, dtypes, files that do not fit, errors
 * that name the layer. Values and gradients of the ops inside are tested with the ops. */
#include <math.h>
#include <unistd.h>
#include "check.h"

static neap_context *c;

#define INT(v) {.kind = NEAP_INT, .i = v}
#define NUMBER(v) {.kind = NEAP_NUMBER, .d = v}

static neap_module *make(const char *name, int n, const neap_value *args) {
  return neap_module_new(c, neap_layer_find(name), n, args);
}
static neap_module *linear(int64_t in, int64_t out) { return make("Linear", 2, (neap_value[]){INT(in), INT(out)}); }

static neap_module *row(int n, neap_module **part) { /* takes its layers */
  neap_module *m = neap_sequential(c, n, part);
  for (int i = 0; i < n; i++) neap_module_release(part[i]);
  return m;
}

static neap_tensor *ones(int64_t rows, int64_t columns) {
  neap_tensor *t = neap_new(c, NEAP_F32, 2, (const int64_t[]){rows, columns});
  if (t) neap_init_constant(t, 1);
  return t;
}

static void moments(neap_tensor *t, double *mean, double *std, double *largest) {
  int64_t n = neap_count(t);
  double *v = malloc((size_t)n * sizeof *v), s = 0, q = 0;
  neap_copy_out(t, NEAP_F64, v);
  *largest = 0;
  for (int64_t i = 0; i < n; i++) {
    s += v[i];
    q += v[i] * v[i];
    if (fabs(v[i]) > *largest) *largest = fabs(v[i]);
  }
  *mean = s / (double)n;
  *std = sqrt(q / (double)n - *mean * *mean);
  free(v);
}

static void every_layer(void) {
  test_case("nn: every layer without required settings is made, printed and found by name");
  char text[256];
  for (int i = 0; i < neap_layer_count(); i++) {
    const neap_layer_info *info = neap_layer_about(c, i);
    check(info && neap_layer_find(info->name) == i && info->doc && info->example && strstr(info->example, "-->"));
    check(info == neap_layer_about(c, i));
    int required = 0;
    for (int k = 0; k < info->n_params; k++) required += !(info->params[k].marks & NEAP_P_OPTIONAL);
    if (required) continue;
    neap_module *m = neap_module_new(c, i, 0, NULL);
    check_at(__LINE__, m != NULL, "%s: %s", info->name, neap_error_message(c));
    if (m) check(strncmp(neap_module_text(m, text, sizeof text), info->name, strlen(info->name)) == 0);
    neap_module_release(m);
    neap_clear(c);
  }

  test_case("nn: a layer prints its settings");
  neap_module *m = linear(3, 2);
  check(strcmp(neap_module_text(m, text, sizeof text), "Linear(in_features=3, out_features=2, bias=true)") == 0);
  check(strcmp(neap_module_text(m, text, 9), "Linear(i") == 0);
  check(neap_module_setting(m, 0).i == 3 && neap_module_setting(m, 2).kind == NEAP_FLAG && neap_module_setting(m, 3).kind == NEAP_NONE);
  neap_module_release(m);
  m = make("Flatten", 0, NULL);
  check(strcmp(neap_module_text(m, text, sizeof text), "Flatten(start_dim=1, end_dim=-1)") == 0);
  neap_set_site(c, &(neap_site){.base = 1});
  check(strcmp(neap_module_text(m, text, sizeof text), "Flatten(start_dim=2, end_dim=-1)") == 0);
  neap_set_site(c, NULL);
  neap_module_release(m);
  m = make("LayerNorm", 1, &(neap_value){.kind = NEAP_INTS, .n = 2, .is = (const int64_t[]){4, 5}});
  check(strstr(neap_module_text(m, text, sizeof text), "normalized_shape=(4, 5), eps=1e-05") != NULL);
  check_int(neap_ndim(neap_module_param(m, 0)), 2);
  neap_module_release(m);
}

static void wrong_settings(void) {
  test_case("nn: settings that make no sense are refused by name");
  check(!linear(-1, 2));
  check_text(c, "Linear: in_features must be at least 0, not -1");
  check_int(neap_error(c), NEAP_ERR_ARGUMENT);
  neap_clear(c);
  check(!make("Linear", 1, (neap_value[]){INT(3)}));
  check_text(c, "out_features is missing");
  neap_clear(c);
  check(!make("Dropout", 1, (neap_value[]){NUMBER(1.5)}));
  check_text(c, "probability");
  neap_clear(c);
  check(!make("Embedding", 3, (neap_value[]){INT(4), INT(2), INT(4)}));
  check_text(c, "padding_idx is 4, but there are 4 embeddings");
  neap_clear(c);
  check(!neap_module_new(c, 9999, 0, NULL));
  neap_clear(c);
  neap_module *loss = make("MSELoss", 0, NULL), *m = linear(2, 2);
  check(!neap_sequential(c, 2, (neap_module *[]){m, loss}));
  check_text(c, "Sequential: layer 1 (MSELoss) takes 2 tensors");
  neap_clear(c);
  neap_tensor *x = ones(1, 2);
  check(!neap_forward(loss, x));
  check_text(c, "MSELoss: target is missing: a tensor");
  neap_clear(c);
  neap_release(x);
  neap_module_release(loss);
  neap_module_release(m);
}

static void first_values(void) {
  test_case("nn: the first values are PyTorch's distributions");
  double mean, std, largest;
  neap_module *m = linear(400, 300);
  moments(neap_module_param(m, 0), &mean, &std, &largest);
  check(largest <= 0.05 && largest > 0.0499 && fabs(std - 0.05 / sqrt(3)) < 2e-4 && fabs(mean) < 5e-4);
  moments(neap_module_param(m, 1), &mean, &std, &largest);
  check(largest <= 0.05 && largest > 0.045);
  neap_module_release(m);
  m = make("Embedding", 3, (neap_value[]){INT(500), INT(60), INT(2)});
  moments(neap_module_param(m, 0), &mean, &std, &largest);
  check(fabs(std - 1) < 0.02 && fabs(mean) < 0.02);
  const float *w = neap_read(neap_module_param(m, 0));
  check(w[2 * 60] == 0 && w[2 * 60 + 59] == 0 && w[3 * 60] != 0);
  neap_module_release(m);

  test_case("nn: initialisers have the spread they are named for");
  neap_tensor *t = neap_new(c, NEAP_F32, 3, (const int64_t[]){200, 100, 3}); /* fan_in 300, fan_out 600 */
  neap_init_xavier_uniform(t, 2, NULL);
  moments(t, &mean, &std, &largest);
  check(fabs(std - 2 * sqrt(2.0 / 900)) < 1e-3 && largest <= 2 * sqrt(6.0 / 900));
  neap_init_xavier_normal(t, 1, NULL);
  moments(t, &mean, &std, &largest);
  check(fabs(std - sqrt(2.0 / 900)) < 1e-3 && fabs(mean) < 1e-3);
  neap_init_kaiming_uniform(t, 0, NEAP_FAN_IN, "relu", NULL);
  moments(t, &mean, &std, &largest);
  check(fabs(std - sqrt(2.0 / 300)) < 1e-3 && largest <= sqrt(6.0 / 300));
  neap_init_kaiming_normal(t, 0.5, NEAP_FAN_OUT, "leaky_relu", NULL);
  moments(t, &mean, &std, &largest);
  check(fabs(std - sqrt(2 / 1.25 / 600)) < 1e-3);
  neap_init_trunc_normal(t, 0.5, 1, -0.5, 1.5, NULL);
  moments(t, &mean, &std, &largest);
  check(fabs(mean - 0.5) < 0.01 && fabs(std - 0.5396) < 0.01 && largest <= 1.5);
  neap_init_trunc_normal(t, 0, 1, -20, 20, NULL); /* not cut: erfinv over its whole range */
  moments(t, &mean, &std, &largest);
  check(fabs(mean) < 0.015 && fabs(std - 1) < 0.015 && largest > 3.8 && largest < 6);
  check(neap_gain(c, "tanh", 0) == 5.0 / 3 && !neap_error(c));
  check(neap_gain(c, "warp", 0) == 0);
  check_text(c, "'warp' is not among");
  neap_clear(c);
  neap_release(t);
  t = neap_new(c, NEAP_F32, 1, (const int64_t[]){3});
  check(neap_init_xavier_normal(t, 1, NULL) == NEAP_ERR_SHAPE);
  neap_clear(c);
  neap_release(t);
}

/* The larger of |q q' - gain^2 I| over rows (or columns when there are more rows). */
static double off_orthogonal(neap_tensor *t, double gain) {
  int64_t rows = neap_shape(t)[0], columns = neap_count(t) / rows, tall = rows > columns, n = tall ? columns : rows;
  double *v = malloc((size_t)(rows * columns) * sizeof *v), worst = 0;
  neap_copy_out(t, NEAP_F64, v);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      double s = 0;
      for (int64_t k = 0; k < rows * columns / n; k++)
        s += tall ? v[k * columns + i] * v[k * columns + j] : v[i * columns + k] * v[j * columns + k];
      worst = fmax(worst, fabs(s - (i == j ? gain * gain : 0)));
    }
  free(v);
  return worst;
}

static void orthogonal(void) {
  test_case("nn: orthogonal matrices are, wide, tall and square, over several panels");
  static const int64_t shapes[][2] = {{1, 1}, {5, 3}, {3, 5}, {70, 70}, {100, 33}, {40, 120}};
  for (int i = 0; i < 6; i++) {
    neap_tensor *t = neap_new(c, NEAP_F64, 2, shapes[i]);
    neap_init_orthogonal(t, 1.5, NULL);
    check_at(__LINE__, off_orthogonal(t, 1.5) < 1e-13, "%d: off by %g", i, off_orthogonal(t, 1.5));
    neap_release(t);
  }
  neap_tensor *t = neap_new(c, NEAP_F32, 3, (const int64_t[]){8, 3, 5});
  check(neap_init_orthogonal(t, 1, NULL) == 0 && off_orthogonal(t, 1) < 1e-6);
  neap_release(t);
}

/* ---- trees ---- */

static int collect(void *arg, const char *name, neap_tensor *t, int buffer) {
  (void)t, (void)buffer;
  strcat(arg, name);
  strcat(arg, " ");
  return strstr(arg, "stop") != NULL;
}

static neap_module *tree(void) {
  neap_module *inner = row(2, (neap_module *[]){linear(4, 4), make("ReLU", 0, NULL)});
  return row(4, (neap_module *[]){linear(3, 4), make("Sigmoid", 0, NULL), inner, linear(4, 2)});
}

static void trees(void) {
  test_case("nn: a tree names its parameters as PyTorch does");
  char names[256] = "";
  neap_module *m = tree();
  check(neap_module_each(m, collect, names) == 0);
  check(strcmp(names, "0.weight 0.bias 2.0.weight 2.0.bias 3.weight 3.bias ") == 0);
  strcpy(names, "stop");
  check(neap_module_each(m, collect, names) == 1 && strcmp(names, "stop0.weight ") == 0);
  neap_tensor *w[2];
  check_int(neap_module_parameters(m, w, 2), 6);
  check(w[1] == neap_module_param(neap_module_child(m, 0), 1));

  test_case("nn: train and eval reach every layer");
  neap_module_train(m, 0);
  check(!neap_module_is_training(neap_module_child(neap_module_child(m, 2), 0)));

  test_case("nn: fused activations have the bits of separate ones");
  neap_tensor *x = neap_randn(c, 2, (const int64_t[]){5, 3}, -1, NULL), *h = neap_retain(x), *y = neap_forward(m, x);
  neap_module *inner = neap_module_child(m, 2);
  neap_module *flat[] = {neap_module_child(m, 0), neap_module_child(m, 1), neap_module_child(inner, 0),
                         neap_module_child(inner, 1), neap_module_child(m, 3)};
  for (int i = 0; i < 5; i++) {
    neap_tensor *next = neap_forward(flat[i], h);
    neap_release(h);
    h = next;
  }
  check(y && h && memcmp(neap_read(y), neap_read(h), 10 * sizeof(float)) == 0);
  neap_release(y);
  neap_release(h);

  test_case("nn: a shared layer's parameters are counted once");
  neap_module *twice = neap_sequential(c, 2, (neap_module *[]){neap_module_child(inner, 0), neap_module_child(inner, 0)});
  check_int(neap_module_parameters(twice, NULL, 0), 2);
  names[0] = 0;
  neap_module_each(twice, collect, names);
  check(strcmp(names, "0.weight 0.bias 1.weight 1.bias ") == 0);
  neap_module_release(twice);
  neap_release(x);
  neap_module_release(m);
}

static void long_and_deep(void) {
  test_case("nn: a hundred thousand layers in a row go forward and away");
  enum { LONG = 100000 };
  neap_module **part = malloc(LONG * sizeof *part);
  for (int i = 0; i < LONG; i++) part[i] = make("Identity", 0, NULL);
  neap_module *m = row(LONG, part);
  neap_tensor *x = ones(1, 1), *y = neap_forward(m, x);
  check(y == x);
  neap_release(y);
  neap_module_release(m);
  free(part);

  test_case("nn: containers do not nest without end");
  m = make("Identity", 0, NULL);
  int depth = 0;
  for (neap_module *up; (up = neap_sequential(c, 1, &m)); depth++) {
    neap_module_release(m);
    m = up;
  }
  check(depth > 30 && depth < 100);
  check_text(c, "nest at most");
  neap_clear(c);
  y = neap_forward(m, x);
  check(y == x);
  neap_release(y);
  neap_release(x);
  neap_module_release(m);
}

/* Puts one layer, whose reference is taken, in the place of all. */
static int only(neap_module *m, neap_module *layer) {
  int status = neap_sequential_set(m, 1, &layer);
  neap_module_release(layer);
  return status;
}

static void other_layers(void) {
  test_case("nn: a Sequential gets other layers, wherever it stands");
  neap_module *inner = row(2, (neap_module *[]){linear(2, 3), make("ReLU", 0, NULL)});
  neap_module *m = row(2, (neap_module *[]){neap_module_retain(inner), make("Identity", 0, NULL)});
  neap_tensor *x = ones(1, 2), *y = neap_forward(m, x);
  check(y && neap_shape(y)[1] == 3);
  neap_release(y);
  neap_module *many[20];
  for (int i = 0; i < 20; i++) many[i] = i ? make("ReLU", 0, NULL) : linear(2, 5);
  check(neap_sequential_set(inner, 20, many) == NEAP_OK && neap_module_child_count(inner) == 20);
  for (int i = 0; i < 20; i++) neap_module_release(many[i]);
  y = neap_forward(m, x);
  check(y && neap_shape(y)[1] == 5);
  neap_release(y);

  test_case("nn: a job finds the layers that there are, and a step does not go on with others");
  neap_tensor *w[2], *target = ones(1, 5);
  check(neap_module_parameters(m, w, 2) == 2);
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find("SGD"));
  neap_optimizer_add(o, 2, w, 0, NULL);
  neap_job *job = neap_job_new(m, o, neap_op_find("mse_loss"));
  check(neap_job_begin(job, x, target) == NEAP_OK && neap_step(job, 0) == 1);
  check(only(inner, linear(2, 5)) == NEAP_OK && neap_step(job, 0) < 0);
  check_text(c, "got other layers");
  neap_clear(c);
  check(neap_job_begin(job, x, target) == NEAP_OK && neap_step(job, 1000000) == 0);
  neap_job_release(job);
  neap_optimizer_release(o);
  neap_release(target);

  test_case("nn: a Sequential refuses what it cannot hold, and keeps its layers");
  check(only(inner, neap_module_retain(m)) == NEAP_ERR_ARGUMENT);
  check_text(c, "a container cannot hold itself");
  neap_clear(c);
  check(only(inner, neap_module_retain(inner)) == NEAP_ERR_ARGUMENT);
  neap_clear(c);
  neap_module *high = make("Identity", 0, NULL);
  for (int i = 0; i < 62; i++) high = row(1, (neap_module *[]){high});
  check(only(inner, high) == NEAP_ERR_ARGUMENT);
  check_text(c, "nest at most");
  neap_clear(c);
  neap_module *l = linear(2, 2);
  check(neap_sequential_set(l, 0, NULL) == NEAP_ERR_ARGUMENT);
  check_text(c, "it is no Sequential");
  neap_clear(c);
  neap_module_release(l);
  check(neap_module_child_count(inner) == 1 && neap_sequential_set(inner, 0, NULL) == NEAP_OK);
  y = neap_forward(m, x);
  check(y == x);
  neap_release(y);
  neap_release(x);
  neap_module_release(inner);
  neap_module_release(m);
}

static void errors_name_layers(void) {
  test_case("nn: an error inside of a tree names the layer");
  neap_module *m = row(2, (neap_module *[]){linear(3, 4), row(2, (neap_module *[]){make("Tanh", 0, NULL), linear(5, 2)})});
  neap_tensor *x = ones(2, 3);
  check(!neap_forward(m, x));
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  check_text(c, "1.1");
  check_text(c, "(2, 4)");
  neap_clear(c);
  neap_set_site(c, &(neap_site){.base = 1, .path = "net.body"});
  check(!neap_forward(m, x));
  check_text(c, "net.body[2][2]");
  neap_clear(c);
  neap_set_site(c, NULL);
  neap_tensor *bad = ones(2, 7);
  check(!neap_forward(m, bad));
  check_text(c, "layer 0"); /* spelt again for the place where it stands now */
  neap_clear(c);
  neap_release(bad);
  neap_release(x);
  neap_module_release(m);
}

/* ---- parameters ---- */

static void parameters(void) {
  test_case("nn: dtypes change in place, gradients too, and shared memory is left to its other owners");
  neap_module *m = tree();
  neap_tensor *w = neap_module_param(neap_module_child(m, 0), 0), *view = neap_detach(c, w), *x = ones(2, 3);
  neap_tensor *y = neap_forward(m, x), *loss = neap_sum(c, y, 0, NULL, 0, -1);
  neap_backward(loss);
  float before = ((const float *)neap_read(w))[5];
  check(neap_module_to(m, NEAP_F64) == NEAP_OK && w == neap_module_param(neap_module_child(m, 0), 0));
  check(neap_dtype_of(w) == NEAP_F64 && ((const double *)neap_read(w))[5] == before);
  neap_tensor *g = neap_grad_of(w);
  check(g && neap_dtype_of(g) == NEAP_F64);
  check(neap_dtype_of(view) == NEAP_F32 && ((const float *)neap_read(view))[5] == before);
  neap_module_zero_grad(m);
  check(neap_grad_of(w) == NULL);
  check(neap_module_to(m, NEAP_I32) == NEAP_ERR_DTYPE);
  neap_clear(c);
  neap_release(g);
  neap_release(view);
  neap_release(x);
  neap_release(y);
  neap_release(loss);

  test_case("nn: a gradient that somebody holds stays as it was");
  neap_module *l = linear(2, 1);
  x = ones(1, 2);
  w = neap_module_param(l, 0);
  neap_tensor *held = NULL;
  for (int i = 0; i < 2; i++) {
    y = neap_forward(l, x);
    loss = neap_sum(c, y, 0, NULL, 0, -1);
    neap_backward(loss);
    if (i == 0) held = neap_grad_of(w);
    neap_module_zero_grad(l);
    neap_release(y);
    neap_release(loss);
    neap_tensor *twice = neap_add(c, x, x);
    neap_release(x);
    x = twice;
  }
  check(((const float *)neap_read(held))[0] == 1);
  neap_release(held);

  test_case("nn: a parameter is replaced only by one of its shape");
  neap_tensor *other = ones(1, 2);
  check(neap_module_set_param(l, 0, other) == NEAP_OK && neap_module_param(l, 0) == other);
  neap_release(other);
  y = neap_forward(l, x);
  check(y && neap_count(y) == 1);
  neap_release(y);
  other = ones(2, 2);
  check(neap_module_set_param(l, 0, other) == NEAP_ERR_SHAPE);
  check_text(c, "weight has shape (1, 2), not (2, 2)");
  neap_clear(c);
  check(neap_module_set_param(l, 7, other) == NEAP_ERR_INDEX);
  neap_clear(c);
  neap_release(other);
  neap_release(x);
  neap_module_release(l);
  neap_module_release(m);
}

static void files(void) {
  test_case("nn: what does not fit a file is listed, and nothing is written");
  char path[64];
  snprintf(path, sizeof path, "/tmp/neap_nn_%ld.safetensors", (long)getpid());
  neap_module *m = tree(), *same = tree();
  check(neap_save_module(m, path) == NEAP_OK);
  neap_module *other = row(3, (neap_module *[]){linear(3, 5), make("Sigmoid", 0, NULL), linear(4, 4)});
  float before = ((const float *)neap_read(neap_module_param(neap_module_child(other, 0), 1)))[0];
  check(neap_load_module(other, path) == NEAP_ERR_SHAPE);
  check_text(c, "missing in the file (2): 2.weight, 2.bias");
  check_text(c, "unknown to the module (4): 2.0.weight, 2.0.bias, 3.weight, 3.bias");
  check_text(c, "of another shape (2): 0.weight (4, 3) not (5, 3), 0.bias (4) not (5)");
  neap_clear(c);
  check(((const float *)neap_read(neap_module_param(neap_module_child(other, 0), 1)))[0] == before);

  test_case("nn: weights load by name, into another dtype too");
  neap_module_to(same, NEAP_F64);
  check(neap_load_module(same, path) == NEAP_OK);
  neap_tensor *a = neap_module_param(neap_module_child(m, 3), 0), *b = neap_module_param(neap_module_child(same, 3), 0);
  check(neap_dtype_of(b) == NEAP_F64 && ((const double *)neap_read(b))[7] == ((const float *)neap_read(a))[7]);
  check(neap_load_module(same, "/nonexistent/weights") < 0);
  neap_clear(c);
  neap_module_release(m);
  neap_module_release(same);
  neap_module_release(other);
  remove(path);
}

int main(void) {
  host_memory memory = {0};
  neap_config config = host_config(&memory);
  config.seed = 11;
  c = neap_open(&config);
  every_layer();
  wrong_settings();
  first_values();
  orthogonal();
  trees();
  long_and_deep();
  other_layers();
  errors_name_layers();
  parameters();
  files();
  test_case("nn: nothing is left behind");
  check_at(__LINE__, neap_error(c) == NEAP_OK, "%s", neap_error_message(c));
  neap_close(c);
  check_int(memory.live, 0);
  return check_done();
}
