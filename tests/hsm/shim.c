/*
 * A PKCS #11 module in front of another, whose calls it counts, delays, holds up or fails, and some of whose answers
 * it makes those of AWS CloudHSM. What it shall do is in a file that it maps, so that a test can change it meanwhile.
 *
 * CKS_SHIM_TARGET names the module behind it, CKS_SHIM_CONTROL the file; src/shim/control.rs has the same layout.
 *
 * No function of PKCS #11 takes anything but integers of a machine word or less and pointers, and none takes more
 * than eight. All are therefore called as if they took eight words, which the calling conventions of Linux allow.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long word;
typedef word function(word, word, word, word, word, word, word, word);
typedef _Atomic uint64_t cell;

#define OK 0x0ul
#define GENERAL_ERROR 0x5ul
#define ARGUMENTS_BAD 0x7ul
#define MECHANISM_PARAM_INVALID 0x71ul
#define PIN_INCORRECT 0xa0ul
#define PIN_LOCKED 0xa4ul
#define SESSION_COUNT 0xb1ul
#define SESSION_HANDLE_INVALID 0xb3ul
#define AES_GCM 0x1087ul
#define USER 1ul

enum {
#define X(name) I_##name,
#include "functions.h"
#undef X
    FUNCTIONS
};

struct list {
    unsigned char version[2];
    function *functions[FUNCTIONS];
};

struct settings {
    cell choose_iv, max_sessions, lock_after, wrong_pins, sessions, most_sessions, lose_sessions, zero_iv;
    char user[64];
};

struct record {
    /* Written by the shim. */
    cell calls, queries, under_way, most_under_way, hanging, failed;
    /* Written by the test; of `after` and `times` the shim takes away what it has used up. */
    cell delay_us, hang, failure, rv, after, times, hidden, spare_queries;
    /* One more than the slot that all this is for; zero for every slot. */
    cell slot, unused;
};

enum { NO_FAILURE, EARLY, LATE };
enum { NO_HANG, BEFORE, AFTER };

/* A process whose test died hangs no longer than this. */
#define PATIENCE_MS 120000

static struct {
    struct settings settings;
    struct record records[FUNCTIONS];
} *control;
static struct list *target;
static struct list list;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void pause_us(uint64_t us) {
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0) {
    }
}

static void raise_to(cell *peak, uint64_t value) {
    uint64_t seen = *peak;
    while (seen < value && !atomic_compare_exchange_weak(peak, &seen, value)) {
    }
}

/* Takes one away, if there is one. */
static int take(cell *stock) {
    uint64_t seen = *stock;
    while (seen > 0) {
        if (atomic_compare_exchange_weak(stock, &seen, seen - 1)) return 1;
    }
    return 0;
}

/* The sessions that are open, to count them as tokens do: over all slots. */
#define MOST_SESSIONS 4096
static struct {
    word handle, slot;
} sessions[MOST_SESSIONS];

static void forget(word handle, word slot) {
    uint64_t kept = 0;
    for (uint64_t i = 0; i < control->settings.sessions; i++) {
        if (sessions[i].handle != handle && sessions[i].slot != slot) sessions[kept++] = sessions[i];
    }
    control->settings.sessions = kept;
}

#define NONE (~0ul)

static word open_session(word slot, word flags, word application, word notify, word *handle) {
    struct settings *settings = &control->settings;
    uint64_t most = settings->max_sessions;
    word rv = SESSION_COUNT;
    pthread_mutex_lock(&lock);
    if (settings->sessions < (most != 0 && most < MOST_SESSIONS ? most : MOST_SESSIONS)) {
        rv = target->functions[I_C_OpenSession](slot, flags, application, notify, (word)handle, 0, 0, 0);
        if (rv == OK) {
            sessions[settings->sessions].handle = *handle;
            sessions[settings->sessions].slot = slot;
            settings->sessions++;
            raise_to(&settings->most_sessions, settings->sessions);
        }
    }
    pthread_mutex_unlock(&lock);
    return rv;
}

/* What a restart of a device does: the sessions are gone, and with them the logins. */
static void lose_sessions(void) {
    pthread_mutex_lock(&lock);
    while (control->settings.sessions > 0) {
        word slot = sessions[0].slot;
        target->functions[I_C_CloseAllSessions](slot, 0, 0, 0, 0, 0, 0, 0);
        forget(NONE, slot);
    }
    pthread_mutex_unlock(&lock);
}

/* Whether a call, whose first argument is a slot or a session, concerns this slot. */
static int concerns(int index, word argument, word slot) {
    switch (index) {
    case I_C_GetSlotInfo:
    case I_C_GetTokenInfo:
    case I_C_GetMechanismList:
    case I_C_GetMechanismInfo:
    case I_C_InitToken:
    case I_C_OpenSession:
    case I_C_CloseAllSessions:
        return argument == slot;
    default:
        break;
    }
    int found = 0;
    pthread_mutex_lock(&lock);
    for (uint64_t i = 0; i < control->settings.sessions; i++) {
        found |= sessions[i].handle == argument && sessions[i].slot == slot;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static word close_sessions(int index, word argument) {
    pthread_mutex_lock(&lock);
    word rv = target->functions[index](argument, 0, 0, 0, 0, 0, 0, 0);
    if (index == I_C_CloseSession) {
        if (rv == OK || rv == SESSION_HANDLE_INVALID) forget(argument, NONE);
    } else if (rv == OK && index == I_C_CloseAllSessions) {
        forget(NONE, argument);
    } else if (rv == OK) {
        control->settings.sessions = 0;
    }
    pthread_mutex_unlock(&lock);
    return rv;
}

/* `user:password`, as AWS CloudHSM wants it. A stranger is told what one with a wrong password is told. */
static word named_login(word session, const char *pin, word length) {
    const char *user = control->settings.user;
    const char *colon = pin == NULL ? NULL : memchr(pin, ':', length);
    if (colon == NULL) return ARGUMENTS_BAD;
    word name = colon - pin;
    if (strlen(user) != name || memcmp(user, pin, name) != 0) return PIN_INCORRECT;
    return target->functions[I_C_Login](session, USER, (word)(colon + 1), length - name - 1, 0, 0, 0, 0);
}

static word login(word session, word user, word pin, word length) {
    struct settings *settings = &control->settings;
    if (user != USER) return target->functions[I_C_Login](session, user, pin, length, 0, 0, 0, 0);
    if (settings->lock_after != 0 && settings->wrong_pins >= settings->lock_after) return PIN_LOCKED;
    word rv = settings->user[0] == 0 ? target->functions[I_C_Login](session, user, pin, length, 0, 0, 0, 0)
                                     : named_login(session, (const char *)pin, length);
    if (rv == PIN_INCORRECT) settings->wrong_pins++;
    if (rv == OK) settings->wrong_pins = 0;
    return rv;
}

struct mechanism {
    word type;
    void *parameter;
    word length;
};

struct gcm {
    unsigned char *iv;
    word iv_length, iv_bits;
    unsigned char *aad;
    word aad_length, tag_bits;
};

/* The device chooses the IV and writes it where the caller left zeros. */
static word encrypt_init(word session, struct mechanism *mechanism, word key) {
    if (control->settings.choose_iv && mechanism != NULL && mechanism->type == AES_GCM) {
        struct gcm *gcm = mechanism->parameter;
        if (gcm == NULL || mechanism->length != sizeof *gcm || gcm->iv == NULL || gcm->iv_length != 12) {
            return MECHANISM_PARAM_INVALID;
        }
        for (word i = 0; i < gcm->iv_length; i++) {
            if (gcm->iv[i] != 0) return MECHANISM_PARAM_INVALID;
        }
        int is_left = control->settings.zero_iv != 0;
        if (!is_left && getrandom(gcm->iv, gcm->iv_length, 0) != (ssize_t)gcm->iv_length) return GENERAL_ERROR;
    }
    return target->functions[I_C_EncryptInit](session, (word)mechanism, key, 0, 0, 0, 0, 0);
}

static word get_list(struct list **out);

static word forward(int index, word a, word b, word c, word d, word e, word f, word g, word h) {
    switch (index) {
    case I_C_GetFunctionList:
        return get_list((struct list **)a);
    case I_C_OpenSession:
        return open_session(a, b, c, d, (word *)e);
    case I_C_CloseSession:
    case I_C_CloseAllSessions:
    case I_C_Finalize:
        return close_sessions(index, a);
    case I_C_Login:
        return login(a, b, c, d);
    case I_C_EncryptInit:
        return encrypt_init(a, (struct mechanism *)b, c);
    default:
        return target->functions[index](a, b, c, d, e, f, g, h);
    }
}

static void hang(int index, uint64_t when) {
    static const char *const names[] = {
#define X(name) #name,
#include "functions.h"
#undef X
    };
    struct record *record = &control->records[index];
    if (record->hang != when) return;
    atomic_fetch_add(&record->hanging, 1);
    for (int waited = 0; record->hang == when; waited++) {
        if (waited > PATIENCE_MS) {
            fprintf(stderr, "shim: nobody released %s\n", names[index]);
            abort();
        }
        pause_us(1000);
    }
    atomic_fetch_sub(&record->hanging, 1);
}

static uint64_t due(struct record *record) {
    uint64_t failure = record->failure;
    if (failure == NO_FAILURE || take(&record->after)) return NO_FAILURE;
    if (record->times != UINT64_MAX && !take(&record->times)) return NO_FAILURE;
    atomic_fetch_add(&record->failed, 1);
    return failure;
}

static word disturbed(int index, word a, word b, word c, word d, word e, word f, word g, word h) {
    struct record *record = &control->records[index];
    if (record->slot != 0 && !concerns(index, a, record->slot - 1)) return forward(index, a, b, c, d, e, f, g, h);
    if (record->delay_us != 0) pause_us(record->delay_us);
    hang(index, BEFORE);
    uint64_t failure = due(record);
    if (failure == EARLY) return record->rv;
    word rv = forward(index, a, b, c, d, e, f, g, h);
    hang(index, AFTER);
    return failure == LATE ? record->rv : rv;
}

static word call(int index, word a, word b, word c, word d, word e, word f, word g, word h) {
    struct record *record = &control->records[index];
    int is_query = (index == I_C_Encrypt || index == I_C_Decrypt) && d == 0;
    if (take(&control->settings.lose_sessions)) lose_sessions();
    atomic_fetch_add(&record->calls, 1);
    if (is_query) atomic_fetch_add(&record->queries, 1);
    raise_to(&record->most_under_way, atomic_fetch_add(&record->under_way, 1) + 1);
    word rv = is_query && record->spare_queries ? forward(index, a, b, c, d, e, f, g, h)
                                                : disturbed(index, a, b, c, d, e, f, g, h);
    atomic_fetch_sub(&record->under_way, 1);
    return rv;
}

#define X(name)                                                                           \
    static word wrapped_##name(word a, word b, word c, word d, word e, word f, word g, word h) { \
        return call(I_##name, a, b, c, d, e, f, g, h);                                    \
    }
#include "functions.h"
#undef X

static function *const wrapped[FUNCTIONS] = {
#define X(name) wrapped_##name,
#include "functions.h"
#undef X
};

/* Made anew each time, so that a test can hide functions from whoever loads the module next. */
static word get_list(struct list **out) {
    if (out == NULL) return ARGUMENTS_BAD;
    pthread_mutex_lock(&lock);
    memcpy(list.version, target->version, sizeof list.version);
    for (int i = 0; i < FUNCTIONS; i++) {
        int is_hidden = target->functions[i] == NULL || control->records[i].hidden;
        list.functions[i] = is_hidden ? NULL : wrapped[i];
    }
    pthread_mutex_unlock(&lock);
    *out = &list;
    return OK;
}

static int complain(const char *what, const char *why) {
    fprintf(stderr, "shim: %s: %s\n", what, why);
    return 0;
}

static int load(void) {
    const char *path = getenv("CKS_SHIM_CONTROL");
    const char *module = getenv("CKS_SHIM_TARGET");
    if (path == NULL || module == NULL) return complain("CKS_SHIM_CONTROL and CKS_SHIM_TARGET", "not both are set");
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return complain(path, "cannot be opened");
    if (lseek(file, 0, SEEK_END) != sizeof *control) return complain(path, "is of another size");
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) return complain(path, "cannot be mapped");
    void *library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return complain(module, dlerror());
    word (*get)(struct list **) = (word (*)(struct list **))dlsym(library, "C_GetFunctionList");
    if (get == NULL || get(&target) != OK) return complain(module, "has no function list");
    control = mapped;
    return 1;
}

word C_GetFunctionList(struct list **out) {
    static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&loading);
    int is_loaded = control != NULL || load();
    pthread_mutex_unlock(&loading);
    return is_loaded ? wrapped_C_GetFunctionList((word)out, 0, 0, 0, 0, 0, 0, 0) : GENERAL_ERROR;
}
