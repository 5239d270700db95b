/* Training on several threads at once, for ThreadSanitizer as well: contexts with threads of their own and with the host's
 * parallel_for side by side, weights shared while a thread reads them, and a cancel flag set from outside. All give the
 * bits of one context on one thread. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdatomic.h>
#include <time.h>
#include "check.h"

enum { BATCH = 64, IN = 96, HIDDEN = 512, OUT = 10, STEPS = 6, WEIGHTS = IN * HIDDEN + HIDDEN + HIDDEN * OUT + OUT };

static neap_module *layer(neap_context *c, const char *name, int64_t in, int64_t out) {
  neap_value a[2] = {{.kind = NEAP_INT, .i = in}, {.kind = NEAP_INT, .i = out}};
  return neap_module_new(c, neap_layer_find(name), in ? 2 : 0, a);
}

static neap_module *make_net(neap_context *c) {
  neap_module *part[3] = {layer(c, "Linear", IN, HIDDEN), layer(c, "Tanh", 0, 0), layer(c, "Linear", HIDDEN, OUT)};
  neap_module *net = neap_error(c) ? NULL : neap_sequential(c, 3, part);
  for (int i = 0; i < 3; i++) neap_module_release(part[i]);
  return net;
}

static int train(neap_context *c, int steps, float *out) {
  neap_module *net = make_net(c);
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find("AdamW"));
  neap_tensor *w[4];
  int n = net ? neap_module_parameters(net, w, 4) : 0;
  if (o) neap_optimizer_add(o, n, w, 0, NULL);
  for (int i = 0; i < steps && !neap_error(c); i++) {
    neap_scope *s = neap_scope_open(c);
    neap_tensor *x = neap_randn(c, 2, (const int64_t[]){BATCH, IN}, -1, NULL);
    neap_tensor *label = neap_randint(c, 0, OUT, 1, (const int64_t[]){BATCH}, -1, NULL);
    neap_tensor *l = x && label ? neap_cross_entropy(c, neap_forward(net, x), label, NULL, -100, NEAP_REDUCTION_MEAN, 0.1) : NULL;
    if (l && neap_backward(l) == NEAP_OK) neap_optimizer_step(o);
    neap_optimizer_zero_grad(o);
    neap_scope_close(s);
  }
  for (int i = 0; i < n && out; i++) {
    neap_copy_out(w[i], NEAP_F32, out);
    out += neap_count(w[i]);
  }
  neap_optimizer_release(o);
  neap_module_release(net);
  return neap_error(c);
}

/* ---- a host's parallel_for: three threads take the tasks backwards, whoever comes first ---- */

typedef struct tasks { neap_task task; void *arg; atomic_llong left; } tasks;
static atomic_int host_calls;

static void *take_tasks(void *arg) {
  tasks *t = arg;
  for (long long i; (i = atomic_fetch_sub(&t->left, 1) - 1) >= 0;) t->task(t->arg, i);
  return NULL;
}

static void host_parallel_for(void *user, int64_t n, neap_task task, void *arg) {
  (void)user;
  tasks t = {.task = task, .arg = arg};
  pthread_t thread[2];
  int started = 0;
  atomic_init(&t.left, n);
  atomic_fetch_add(&host_calls, 1);
  while (started < 2 && pthread_create(&thread[started], NULL, take_tasks, &t) == 0) started++;
  take_tasks(&t);
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
}

/* ---- side by side ---- */

typedef struct work { neap_config config; float weights[WEIGHTS]; int status; } work;

static void *work_alone(void *arg) {
  work *w = arg;
  neap_context *c = neap_open(&w->config);
  w->status = c ? train(c, STEPS, w->weights) : NEAP_ERR_MEMORY;
  if (c) neap_close(c);
  return NULL;
}

static void side_by_side(void) {
  test_case("threads: contexts train at once, by their own threads and by the host's, with the bits of one thread");
  static work one = {.config = {.seed = 4}};
  static work many[4] = {{.config = {.seed = 4, .threads = 3}}, {.config = {.seed = 4, .threads = 2, .spin_us = 50}},
                         {.config = {.seed = 4, .parallel_for = host_parallel_for, .threads = 2}}, {.config = {.seed = 4}}};
  pthread_t thread[4];
  int started = 0;
  work_alone(&one);
  check_int(one.status, NEAP_OK);
  while (started < 4 && pthread_create(&thread[started], NULL, work_alone, &many[started]) == 0) started++;
  for (int i = 0; i < started; i++) {
    pthread_join(thread[i], NULL);
    check_int(many[i].status, NEAP_OK);
    check_at(__LINE__, memcmp(many[i].weights, one.weights, sizeof one.weights) == 0, "context %d has other bits", i);
  }
  check(started < 3 || host_calls > 0);
}

/* ---- weights that another context reads, one after the other ---- */

typedef struct reader { neap_context *c; neap_tensor *w; double sum; } reader;

static void *read_shared(void *arg) {
  reader *r = arg;
  neap_tensor *s = neap_sum(r->c, r->w, 0, NULL, 0, -1);
  r->sum = s ? neap_item(s) : 0;
  neap_release(s);
  neap_release(r->w);
  neap_close(r->c);
  return NULL;
}

static void shared(void) {
  test_case("threads: weights read by a second context on another thread, past the life of the first");
  neap_context *c = neap_open(&(neap_config){.seed = 1, .threads = 1});
  neap_module *net = make_net(c);
  neap_tensor *w[4];
  neap_module_parameters(net, w, 4);
  reader r[2];
  pthread_t thread[2];
  int started = 0;
  for (; started < 2; started++) {
    r[started].c = neap_open(NULL);
    r[started].w = neap_share(w[0], r[started].c);
    if (pthread_create(&thread[started], NULL, read_shared, &r[started]) != 0) break;
  }
  neap_tensor *s = neap_sum(c, w[0], 0, NULL, 0, -1);
  double sum = neap_item(s);
  neap_release(s);
  neap_module_release(net);
  neap_close(c);
  for (int i = 0; i < started; i++) {
    pthread_join(thread[i], NULL);
    check(r[i].sum == sum);
  }
}

/* ---- cancelled from outside ---- */

static void *cancel_soon(void *arg) {
  struct timespec pause = {0, 2000000};
  nanosleep(&pause, NULL);
  neap_cancel(arg, 1);
  return NULL;
}

static void cancelled(void) {
  test_case("threads: a cancel flag set on another thread stops the work, and what comes after it is as ever");
  neap_context *c = neap_open(&(neap_config){.seed = 9, .threads = 1});
  pthread_t thread;
  if (pthread_create(&thread, NULL, cancel_soon, c) == 0) {
    check(train(c, 1 << 30, NULL) == NEAP_ERR_CANCELLED); /* it ends all the same */
    pthread_join(thread, NULL);
    neap_clear(c);
    neap_cancel(c, 0);
  }
  check(train(c, 2, NULL) == NEAP_OK);
  neap_close(c);
}

/* ---- after a fork ---- */

static void forked(void) {
  const char *mode = getenv("NEAP_TEST_MODE");
  if (mode && strcmp(mode, "sanitize") == 0) return; /* a sanitizer's own threads do not survive one either */
  test_case("threads: a child of fork goes on by itself, whatever the workers were doing");
  static float one[WEIGHTS], child[WEIGHTS];
  neap_context *alone = neap_open(&(neap_config){.seed = 6});
  check(train(alone, 2, one) == NEAP_OK);
  neap_close(alone);
  for (int i = 0; i < 20; i++) {
    neap_context *c = neap_open(&(neap_config){.seed = 1, .threads = 3, .spin_us = i % 2 * 50});
    train(c, 1, NULL);
    neap_seed(c, 6);
    pid_t pid = fork();
    if (pid == 0) {
      int same = train(c, 2, child) == NEAP_OK && memcmp(child, one, sizeof one) == 0;
      neap_close(c);
      _exit(same ? 0 : 1);
    }
    int status = -1;
    check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    neap_close(c);
  }
}

int main(void) {
  side_by_side();
  shared();
  cancelled();
  forked();
  return check_done();
}
