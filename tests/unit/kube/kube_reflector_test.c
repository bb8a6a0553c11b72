// SPDX-License-Identifier: Apache-2.0
/*
 * kube_reflector_test.c: every transition of the reflector on a virtual clock: a row is a story, in
 * short words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/kube/reflector.h"

/*
 * A story is a row of steps "input=phase[flags]". Inputs: found, none, nofind; open, ok (status
 * 200), NNN[/retry-after seconds], toolarge (504, version too large); add:RV mod:RV del:RV mark:RV
 * end:RV (the bookmark that ends a stream); page:RV[:token]; eof refused broken timeout bad large;
 * heard (the server answers somebody else); look (a definition has changed); +SECONDS (time passes,
 * then wake). Flags, as far as a step names any: C commit, E empty, X clear, T tell, R refresh, D
 * discover, O open, K take, B back, S short. '~': in step; '#': have.
 */
struct row {
	const char *name, *story;
};

#define SYNCED "found=stream open= ok=stream add:5=streamK end:7=watchCT~# "
#define LISTED "found=stream open= 422=listXO open= ok=list page:7=watchCOT~# open= ok=watch~ "

static const struct row rows[] = {
	{"a streamed list goes on as a watch on the same connection", SYNCED "add:8=watchK~"},
	{"a bookmark before the end of the stream means nothing",
		"found=stream open= ok=stream mark:9=stream end:7=watchCT"},
	{"an older server is listed in pages", LISTED},
	{"pages follow each other until there is no token",
		"found=streamOX open= 422=listXO open= ok= page:7:t1=listO open= ok= "
		"page:7:t2=listO "
		"open= ok= page:7=watchCOT"},
	{"a page of another version begins the list anew",
		"found=stream open= 422=list open= ok= page:7:t1=listO open= ok= page:8=waitT"},
	{"a token that does not move ends in back-off",
		"found=stream open= 422=list open= ok= page:7:t=listO open= ok= page:7:t=wait"},
	{"a stream that ends before its bookmark is listed in pages",
		"found=stream open= ok= add:1=streamK eof=listXO"},
	{"a stream of nonsense is listed in pages", "found=stream open= ok= bad=listXO"},
	{"a silent stream is given up after a minute",
		"found=stream open= ok= +59=stream +2=listXO"},
	{"after a lost connection a stream is tried again",
		"found=stream open= 422=list open= refused=waitT +2=streamXO"},
	{"a watch that ends in time is taken up from its version", SYNCED "+100= eof=watchO~"},
	{"a watch that ends at once is backed off", SYNCED "+100= eof=watchO open= ok= eof=waitST"},
	{"a short watch with events is backed off too, and not called short",
		SYNCED "+100= eof=watchO open= ok= add:8=watchK eof=waitT"},
	{"a watch the server does not end is ended by us", SYNCED "+700=watchO~"},
	{"a lost connection is verified before the watch goes on",
		SYNCED "broken=waitT +2=verifyO open= ok= page:9=watchO open= ok=watchT~#"},
	{"a server that went back is listed again",
		SYNCED "+100= broken=waitT +2=verify open= ok= page:6=streamBXO"},
	{"versions that cannot be compared are not called older",
		"found=stream open= ok= end:abc=watchCT broken=wait +2=verify open= "
		"page:xyz=watchO"},
	{"a refused connection is tried again, without a list",
		SYNCED "broken=wait +2=verify open= refused=waitT +4=verifyO"},
	{"who found nobody asks again as soon as somebody was answered",
		SYNCED "broken=wait +2=verify open= refused=wait +4=verify open= refused=wait "
		       "heard=wait +1=verifyO"},
	{"so does who lost his list, or his page",
		"found=stream open= refused=wait +2=stream open= refused=wait heard= +1=streamXO "
		"open= 422=list open= broken=wait heard= +1=listXO"},
	{"and who could not learn what is served",
		"nofind=wait +2= nofind=wait +4= nofind=wait heard= +1=discoverD"},
	{"and who found the server ill",
		SYNCED "broken=wait +2=verify open= 503=wait +4=verify open= 500=wait +8=verify "
		       "open= 500=wait heard= +1=verifyO"},
	{"who was told to wait waits, whoever is answered",
		SYNCED "+100= eof=watch open= 429/5=wait heard= +4=wait +2=watchO"},
	{"and so does who may not", "found=stream open= 403=wait heard= +29=wait +3=streamXO"},
	{"a server that is back finds nobody's patience grown",
		SYNCED
		"broken=wait +2=verify open= refused=wait +4=verify open= refused=wait +8=verify "
		"open= refused=wait heard= +1=verifyO open= 503=wait +2=verifyO"},
	{"who would ask sooner is not held back",
		SYNCED "broken=wait heard=wait heard=wait +1=verifyO"},
	{"410 lists again at once when the last list is a while ago",
		SYNCED "+100= eof=watchO open= 410=streamXO"},
	{"a storm of 410 is backed off", SYNCED "410=waitT +2=streamXO open= 410=wait +4=streamXO"},
	{"410 in the middle of a paged list begins it anew",
		"found=stream open= 422=list open= ok= page:7:t1=list open= 410=wait +2=listXO"},
	{"a version from the future lists again", SYNCED "+100= eof=watch open= toolarge=streamXO"},
	{"401 asks for a new credential once, then waits",
		SYNCED
		"+100= eof=watch open= 401=watchRO open= 401=waitT +2=watchO open= 401=watchRO"},
	{"401 within a streamed list begins it anew",
		"found=stream open= ok= add:1=streamK 401=streamRXO"},
	{"an accepted credential may be refused again later",
		"found=stream open= 401=streamRO open= ok= 401=streamRO"},
	{"403 waits half a minute and asks the same",
		"found=stream open= 403=wait +29=wait +3=streamXO"},
	{"403 to who was allowed before is backed off: a server that starts knows no roles yet",
		SYNCED
		"+100= eof=watch open= 403=waitT +1=watchO open= 403=wait +1=wait +1=watchO"},
	{"404 asks what is served, and lists what came back",
		SYNCED "404=discoverDT# found=streamXO"},
	{"404 again and again is backed off", SYNCED "404=discoverD found=stream open= 404=waitT"},
	{"429 waits as long as it is told",
		SYNCED "+100= eof=watch open= 429/5=wait +4=wait +2=watchO"},
	{"429 that asks for a day waits two minutes",
		SYNCED "+100= eof=watch open= 429/86400=wait +119=wait +2=watchO"},
	{"503 with Retry-After is as 429",
		SYNCED "+100= eof=watch open= 503/5=wait +4=wait +2=watchO"},
	{"500 asks the same again after a while",
		SYNCED "+100= eof=watch open= 500=waitT +2=watchO"},
	{"500 to a stream twice tries pages",
		"found=stream open= 500=wait +2=stream open= 500=listXO"},
	{"422 to a watch lists again", SYNCED "+100= eof=watch open= 422=wait +2=streamXO"},
	{"a kind that three looks do not find is absent",
		"none=waitT +2=discoverD none=wait +2=discoverD none=absentET~#"},
	{"an absent kind that appears is listed",
		"none=wait +2= none=wait +2= none=absent +61=absentD found=streamXO open= ok= "
		"end:7=watchCT~"},
	{"an absent kind stays absent while nobody can be asked",
		"none=wait +2= none=wait +2= none=absent +61=absentD nofind=absent~ +2=absentD "
		"none=absent~"},
	{"a kind that is defined anew is looked for at once, and with new patience",
		SYNCED "503=wait +2=watch open= 503=wait +4=watch open= 503=wait +8=watch open= "
		       "404=discover none=wait +2= none=wait +2= none=absent look=absentD "
		       "found=stream open= 429=wait +2=streamXO"},
	{"a kind that goes away is emptied only after three looks",
		SYNCED
		"404=discoverD none=waitT# +2=discoverD none=wait +2=discover none=absentET~"},
	{"a look that fails begins the looks anew",
		"none=wait +2= none=wait +2= nofind=waitT +4=discoverD none=wait +2= none=wait +2= "
		"none=absentE"},
	{"nonsense after events is taken up from the last of them",
		SYNCED "add:8=watch bad=waitT +2=watchO"},
	{"nonsense at once lists again", SYNCED "+100= eof=watch open= ok= bad=waitT +2=streamXO"},
	{"an event from the past lists again", SYNCED "+100= add:6=streamBXO"},
	{"deletions are events like others", SYNCED "del:9=watchK mark:12=watch add:11=waitBT"},
	{"a list that is too large is backed off",
		"found=stream open= ok= large=waitT +2=streamXO"},
	{"no answer within a minute is backed off", "found=stream open= +59=stream +2=listXO"},
	{"a page without end is given up", LISTED "410=wait +2=list open= ok= +299=list +2=waitT"},
};

struct teller {
	struct reflector r;
	struct reflector_now now;
	unsigned did;
};

static unsigned number_after(const char *s, char c)
{
	const char *p = strchr(s, c);

	return p != NULL ? (unsigned)strtoul(p + 1, NULL, 10) : 0;
}

static unsigned event(struct teller *t, const char *in)
{
	static const char *const names[] = {"add:", "mod:", "del:", "mark:", "end:"};

	for (unsigned i = 0; i < 5; i++)
		if (strncmp(in, names[i], strlen(names[i])) == 0)
			return reflector_on_event(&t->r, (enum reflector_event)i,
				strchr(in, ':') + 1, t->now);
	return ~0u;
}

static unsigned ending(struct teller *t, const char *in)
{
	static const char *const names[] = {"eof", "refused", "broken", "timeout", "bad", "large"};

	for (unsigned i = 0; i < 6; i++)
		if (strcmp(in, names[i]) == 0)
			return reflector_on_end(&t->r, (enum reflector_end)i, t->now);
	return ~0u;
}

static unsigned refusal(struct teller *t, const char *in)
{
	struct reflector_refusal r = {.status = atoi(in), .retry_after_us = -1};

	if (strchr(in, '/') != NULL)
		r.retry_after_us = number_after(in, '/') * 1000000ll;
	if (strcmp(in, "toolarge") == 0)
		r.status = 504, r.rv_too_large = true;
	return reflector_on_refusal(&t->r, &r, t->now);
}

static unsigned page(struct teller *t, char *in)
{
	char *cont = strchr(in + 5, ':');

	if (cont != NULL)
		*cont++ = '\0';
	return reflector_on_page(&t->r, in + 5, cont != NULL ? cont : "", t->now);
}

static unsigned input(struct teller *t, char *in)
{
	unsigned did = event(t, in);

	if (did == ~0u)
		did = ending(t, in);
	if (did != ~0u)
		return did;
	if (in[0] == '+') {
		t->now.us += number_after(in, '+') * 1000000ull;
		return reflector_on_wake(&t->r, t->now);
	}
	if (strcmp(in, "open") == 0)
		return reflector_on_open(&t->r, t->now), 0;
	if (strcmp(in, "heard") == 0)
		return reflector_hurry(&t->r, t->now), 0;
	if (strcmp(in, "look") == 0)
		return reflector_look(&t->r, t->now);
	if (strcmp(in, "ok") == 0)
		return reflector_on_answer(&t->r, t->now);
	if (strncmp(in, "page:", 5) == 0)
		return page(t, in);
	if (strcmp(in, "found") == 0 || strcmp(in, "none") == 0 || strcmp(in, "nofind") == 0)
		return reflector_on_discovery(&t->r,
			in[0] == 'f'	       ? REFLECTOR_FOUND
				: in[2] == 'n' ? REFLECTOR_NOT_FOUND
					       : REFLECTOR_FIND_FAILED,
			t->now);
	return refusal(t, in);
}

static bool flag_holds(const struct teller *t, char flag)
{
	static const struct {
		char c;
		unsigned bit;
	} flags[] = {{'C', REFLECTOR_DO_COMMIT}, {'E', REFLECTOR_DO_EMPTY},
		{'X', REFLECTOR_DO_CLEAR}, {'T', REFLECTOR_DO_TELL}, {'R', REFLECTOR_DO_REFRESH},
		{'D', REFLECTOR_DO_DISCOVER}, {'O', REFLECTOR_DO_OPEN}, {'K', REFLECTOR_DO_TAKE},
		{'B', REFLECTOR_DO_BACK}, {'S', REFLECTOR_DO_SHORT}};

	if (flag == '~')
		return t->r.in_step;
	if (flag == '#')
		return t->r.have;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (flags[i].c == flag)
			return (t->did & flags[i].bit) != 0;
	return false;
}

static void check_step(const struct row *row, struct teller *t, char *step)
{
	char *want = strchr(step, '=');
	const char *phase;
	size_t n;

	*want++ = '\0';
	t->did = input(t, step);
	phase = reflector_phase_name(t->r.phase);
	n = strspn(want, "abcdefghijklmnopqrstuvwxyz");
	if (n > 0 && (strlen(phase) != n || strncmp(want, phase, n) != 0))
		fail_msg("%s: after %s the phase is %s", row->name, step, phase);
	for (const char *f = want + n; *f != '\0'; f++)
		if (!flag_holds(t, *f))
			fail_msg("%s: after %s there is no %c (%#x)", row->name, step, *f, t->did);
}

static void stories_end_as_told(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct teller t = {.now = {.us = 1000000}};
		char story[512], *rest = story, *step;

		snprintf(story, sizeof(story), "%s", rows[i].story);
		reflector_start(&t.r, t.now);
		while ((step = strtok_r(rest, " ", &rest)) != NULL)
			check_step(&rows[i], &t, step);
	}
}

static void patience_grows_is_bounded_and_is_found_again(void **state)
{
	struct reflector r;
	struct reflector_now now = {.us = 1000000, .random = 0};
	uint64_t want = REFLECTOR_BACKOFF_MIN_US;

	reflector_start(&r, now);
	for (int i = 0; i < 10; i++) {
		reflector_on_discovery(&r, REFLECTOR_FIND_FAILED, now);
		assert_int_equal(r.wake_us - now.us, want);
		want = want * 2 < REFLECTOR_BACKOFF_MAX_US ? want * 2 : REFLECTOR_BACKOFF_MAX_US;
		now.us = r.wake_us;
		reflector_on_wake(&r, now);
	}
	now.us += REFLECTOR_BACKOFF_RESET_US + 1;
	reflector_on_discovery(&r, REFLECTOR_FIND_FAILED, now);
	assert_int_equal(r.wake_us - now.us, REFLECTOR_BACKOFF_MIN_US);
	now.us = r.wake_us;
	reflector_on_wake(&r, now);
	now.random = UINT64_MAX;
	reflector_on_discovery(&r, REFLECTOR_FIND_FAILED, now);
	assert_in_range(r.wake_us - now.us, 2 * REFLECTOR_BACKOFF_MIN_US,
		4 * REFLECTOR_BACKOFF_MIN_US);
}

static void queries_are_those_of_the_protocol(void **state)
{
	struct reflector r;
	struct reflector_now now = {.us = 1000000, .random = 0};
	char q[512];

	reflector_start(&r, now);
	reflector_on_discovery(&r, REFLECTOR_FOUND, now);
	reflector_on_open(&r, now);
	reflector_query(&r, q, sizeof(q));
	assert_string_equal(q,
		"watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
		"&allowWatchBookmarks=true&timeoutSeconds=300");
	reflector_on_answer(&r, now);
	reflector_on_event(&r, REFLECTOR_EVENT_INITIAL_END, "42", now);
	now.us += 2000000;
	reflector_on_end(&r, REFLECTOR_END_EOF, now);
	now.random = 300;
	reflector_on_open(&r, now);
	reflector_query(&r, q, sizeof(q));
	assert_string_equal(q,
		"watch=1&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion=42");
	reflector_on_end(&r, REFLECTOR_END_BROKEN, now);
	now.us = r.wake_us;
	reflector_on_wake(&r, now);
	reflector_query(&r, q, sizeof(q));
	assert_string_equal(q, "limit=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stories_end_as_told),
		cmocka_unit_test(patience_grows_is_bounded_and_is_found_again),
		cmocka_unit_test(queries_are_those_of_the_protocol),
	};

	return cmocka_run_group_tests_name("kube_reflector", tests, NULL, NULL);
}
