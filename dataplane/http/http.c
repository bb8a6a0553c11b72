// SPDX-License-Identifier: Apache-2.0
/*
 * http.c: lifecycle, and the turn: news from TCP, expired timers, connections with work.
 *
 * News is collected first and served after, so that a pooled connection whose FIN has arrived is
 * known before anybody is given it. What does not fit the bounds of a turn waits for the next.
 */
#include "dataplane/base/prefetch.h"
#include "dataplane/http/http_flow.h"

#define AHEAD 8u /* connections with news that are looked at before they are served */

static const struct {
	const char *name, *help;
} counter_rows[] = {
#define HTTP_COUNTER(NAME, name, help) {name, help},
#include "dataplane/http/http.def"
#undef HTTP_COUNTER
#define OUTCOME(NAME, name, status, help) {"requests_" name, help},
#include "dataplane/http/outcome.def"
#undef OUTCOME
};
_Static_assert(sizeof(counter_rows) / sizeof(counter_rows[0]) == HTTP_COUNTER_COUNT + OUTCOME_COUNT,
	"one row per counter");

void http_config_default(struct http_config *cfg)
{
	*cfg = (struct http_config){
		.down_max = 65536,
		.up_max = 16384,
		.exchanges_max = 16384,
		.head_buffers = 512,
		.log_sample = 1,
		.header_timeout_us = 10u * 1000000u,
		.idle_timeout_us = 60u * 1000000u,
		.body_timeout_us = 30u * 1000000u,
		.body_min_bytes = 256,
		.stall_timeout_us = 60u * 1000000u,
		.connect_timeout_us = 2u * 1000000u,
		.response_timeout_us = 60u * 1000000u,
		.stream_timeout_us = 300u * 1000000u,
		.up_idle_timeout_us = 50u * 1000000u,
		.exchange_bytes_max = 1u << 20,
	};
	upstream_config_default(&cfg->upstream);
}

static uint64_t setting_us(uint32_t ms, uint32_t default_us)
{
	return ms != 0 ? (uint64_t)ms * 1000u : default_us;
}

static void limits_set(struct http *h, const struct snapshot_settings *s)
{
	const struct http_config *c = &h->cfg;
	uint32_t bytes = s->exchange_bytes_max ? s->exchange_bytes_max : c->exchange_bytes_max;

	h->lim = (struct http_limits){
		.header_us = setting_us(s->header_timeout_ms, c->header_timeout_us),
		.idle_us = setting_us(s->idle_timeout_ms, c->idle_timeout_us),
		.connect_us = setting_us(s->connect_timeout_ms, c->connect_timeout_us),
		.response_us = setting_us(s->response_timeout_ms, c->response_timeout_us),
		.exchange_bytes = RTE_MAX(bytes, HTTP_EXCHANGE_BYTES_MIN),
	};
}

static bool pools_init(struct http *h)
{
	return slots_init(&h->downs, h->cfg.down_max, sizeof(struct http_down)) &&
		slots_init(&h->ups, h->cfg.up_max, sizeof(struct http_up)) &&
		slots_init(&h->xs, h->cfg.exchanges_max, sizeof(struct exchange)) &&
		slots_init(&h->head_bufs, h->cfg.head_buffers, HTTP_HEAD_BUFFER);
}

struct http *http_new(const struct http_config *cfg, struct tcp *tcp, struct rte_mempool *pool,
	struct rng *rng, uint32_t worker, uint32_t workers, struct access_ring *log,
	uint64_t now_us)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->cfg = *cfg;
	h->tcp = tcp;
	h->pool = pool;
	h->rng = rng;
	h->log = log;
	h->now_us = now_us;
	list_init(&h->ready);
	timer_wheel_init(&h->wheel, now_us);
	timer_init(&h->housekeeping);
	limits_set(h, &(struct snapshot_settings){0});
	h->up = upstream_new(&cfg->upstream, rng, worker, workers);
	h->probes = probes_new(worker, now_us);
	if (h->up == NULL || h->probes == NULL || !pools_init(h)) {
		http_free(h);
		return NULL;
	}
	timer_set(&h->wheel, &h->housekeeping, now_us + HTTP_HOUSEKEEPING_US);
	return h;
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	for (uint32_t i = 0; i < h->xs.count; i++)
		if (slots_at(&h->xs, i) != NULL)
			exchange_fail(h, slots_at(&h->xs, i), OUTCOME_STOPPED, 0);
	for (uint32_t i = 0; i < h->downs.count; i++)
		if (slots_at(&h->downs, i) != NULL)
			down_abort(h, slots_at(&h->downs, i));
	for (uint32_t i = 0; i < h->ups.count; i++)
		if (slots_at(&h->ups, i) != NULL)
			up_discard(h, slots_at(&h->ups, i));
	probes_free(h);
	upstream_free(h->up);
	slots_fini(&h->downs);
	slots_fini(&h->ups);
	slots_fini(&h->xs);
	slots_fini(&h->head_bufs);
	free(h);
}

void http_set_draining(struct http *h, bool draining)
{
	h->draining = draining;
	h->sweep_down = h->sweep_parked = 0;
	timer_set(&h->wheel, &h->housekeeping, h->now_us);
}

static void collect(struct http *h)
{
	struct tcp_conn *tc;
	uint32_t events, n = 0;

	while (n++ < HTTP_NEWS_PER_TURN && (tc = tcp_ready_pop(h->tcp, &events)) != NULL) {
		struct h1_conn *c = tcp_user(tc);

		if (c == NULL)
			c = down_open(h, tc, (events & TCP_EV_UNPARKED) != 0);
		if (c != NULL)
			h1_conn_wake(h, c, events);
	}
	h->more = n > HTTP_NEWS_PER_TURN;
}

static void on_timer(struct timer *t, uint64_t now_us, void *ctx)
{
	struct http *h = ctx;

	if (t == &h->housekeeping)
		http_housekeeping(h);
	else
		down_on_timer(h,
			(struct http_down *)((char *)t - offsetof(struct http_down, timer)));
}

/* The exchange of an endpoint's connection with news; NULL for the others. */
static const struct exchange *answered(const struct list *ready)
{
	const struct h1_conn *c = list_entry(ready, struct h1_conn, ready);

	return c->leg == H1_UP ? c->x : NULL;
}

/*
 * What the next answers lead to, one pointer further with each step that they come nearer, so that
 * the misses of several overlap: exchange, client connection, its TCP connection. A few lines with
 * each step: of prefetches that come by the hundred a core drops some.
 */
static void look_ahead(const struct http *h)
{
	const struct list *l = &h->ready;

	for (unsigned i = 0; i < AHEAD && (l = l->next) != &h->ready; i++) {
		const struct exchange *x;

		if (i < 2 || (x = answered(l)) == NULL)
			continue;
		if (i < 4)
			tcp_prefetch(x->down->c.tcp);
		else if (i < 6)
			prefetch_lines(x->down, sizeof(*x->down));
		else
			prefetch_lines(x, offsetof(struct exchange, rec.host));
	}
}

static void serve(struct http *h)
{
	for (uint32_t n = 0; n < HTTP_NEWS_PER_TURN && !list_is_empty(&h->ready); n++) {
		struct h1_conn *c;
		uint32_t news;

		if (n % 2 == 0)
			look_ahead(h);
		c = list_entry(list_pop(&h->ready), struct h1_conn, ready);
		news = c->news;
		c->news = 0;
		if (c->leg == H1_DOWN)
			down_on_news(h, (struct http_down *)c, news);
		else if (likely(c->leg == H1_UP))
			up_on_news(h, (struct http_up *)c, news);
		else
			probe_on_news(h, c, news);
	}
}

void http_run(struct http *h, const struct config *cfg, uint64_t now_us)
{
	h->now_us = now_us;
	h->config = cfg;
	if (cfg != NULL && cfg->serial != h->serial) {
		struct snapshot_settings s = snapshot_settings(cfg->snap);

		limits_set(h, &s);
		h->serial = cfg->serial;
		h->sweep_down = h->sweep_parked = 0;
		h->sweep_us = now_us;
		timer_set(&h->wheel, &h->housekeeping, now_us);
	}
	upstream_heed(h->up, now_us);
	probes_turn(h);
	collect(h);
	timer_wheel_run(&h->wheel, now_us, HTTP_TIMERS_PER_TURN, on_timer, h);
	serve(h);
	probes_run(h);
	h->config = NULL;
}

uint64_t http_next_us(const struct http *h)
{
	if (h->more || !list_is_empty(&h->ready))
		return 0;
	return RTE_MIN(timer_wheel_next_us(&h->wheel), probes_next_us(h));
}

const uint64_t *http_counters(const struct http *h, unsigned *ret_count)
{
	*ret_count = HTTP_COUNTER_COUNT + OUTCOME_COUNT;
	return h->counters;
}

const char *http_counter_name(unsigned i)
{
	bug_on(i >= HTTP_COUNTER_COUNT + OUTCOME_COUNT);
	return counter_rows[i].name;
}

const char *http_counter_help(unsigned i)
{
	bug_on(i >= HTTP_COUNTER_COUNT + OUTCOME_COUNT);
	return counter_rows[i].help;
}

void http_join(struct http *h, const struct health_board *board,
	const struct upstream *const *others)
{
	upstream_join(h->up, board, others);
	probes_join(h, board);
}

const struct upstream *http_upstream(const struct http *h)
{
	return h->up;
}

void http_usage(const struct http *h, struct http_usage *ret)
{
	*ret = (struct http_usage){
		.down = slots_used(&h->downs),
		.up = slots_used(&h->ups),
		.up_idle = pool_count(h->up),
		.exchanges = slots_used(&h->xs),
		.head_buffers = slots_used(&h->head_bufs),
		.probes = probes_in_flight(h),
		.held_bytes = h->held_bytes,
		.held_bytes_high = h->held_high,
	};
}

bool http_other_leg(const void *user, struct tcp_flow *ret)
{
	const struct h1_conn *c = user;
	const struct exchange *x = c != NULL ? c->x : NULL;
	const struct tcp_conn *other;

	if (x == NULL || x->up == NULL)
		return false;
	other = c->leg == H1_DOWN ? x->up->c.tcp : x->down->c.tcp;
	*ret = *tcp_conn_flow(other);
	return true;
}
