#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%%! +S 1:1 -kernel logger_level none
%%
%% Runs scenarios (README.md) on OTP's own supervisor and prints what happened, in the words that
%% supervisor_trace.cpp uses too.
%%
%% One scheduler, so that the signals of a process that ends are on their way before anybody else
%% runs: the order of the trace is the order of what happened. Three parties: this process drives
%% and is the parent of the topmost supervisor; `trace` writes down starts and ends, which it learns
%% as a monitor; the children do as they are told. What a child does at its next start is a plan
%% in a table, because a child that does not live cannot be told.
-mode(compile).
-export([main/1, init/1, start_member/1, start_member/2, member/2, child/2]).

main([File]) ->
    process_flag(trap_exit, true),
    {ok, Text} = file:read_file(File),
    Lines = [string:lexemes(Line, " ") || Line <- string:lexemes(binary_to_list(Text), "\n")],
    lists:foreach(fun run/1, scenarios(Lines, [])).

scenarios([], Done) ->
    lists:reverse([lists:reverse(Each) || Each <- Done]);
scenarios([["scenario" | _] = Line | Rest], Done) ->
    scenarios(Rest, [[Line] | Done]);
scenarios([Line | Rest], [Current | Done]) ->
    scenarios(Rest, [[Line | Current] | Done]).

%% -- a scenario ----------------------------------------------------------------------------------

%% Tables: `member` holds {Name, Attributes}, `below` {Supervisor, Names in order}, `plan`
%% {Name, Outcomes of the starts to come}, `pid` {Name, Pid}, `new` the same as member for the
%% configuration to come.
run([Title | Lines]) ->
    [ets:new(Table, [named_table, public]) || Table <- [member, below, plan, pid]],
    register(trace, Trace = spawn_link(fun() -> trace(0) end)),
    io:format("~s~n", [string:join(Title, " ")]),
    {Declared, Steps} = lists:splitwith(fun is_declaration/1, Lines),
    declare(["top"]),
    lists:foreach(fun declare/1, Declared),
    note("> start", []),
    start_top(),
    settle(),
    Sent = lists:foldl(fun step/2, [], Steps),
    top() =:= undefined orelse step(["stop"], Sent),
    left(),
    ask(finish),
    unlink(Trace),
    flush(),
    [ets:delete(Table) || Table <- [member, below, plan, pid]].

is_declaration([Word | _]) -> lists:member(Word, ["top", "child", "supervisor"]).

declare(["top" | Attributes]) ->
    ets:insert(member, {top, maps:put(kind, supervisor, attributes(Attributes))}),
    ets:insert_new(below, {top, []});
declare([Kind, Word | Attributes]) ->
    Name = list_to_atom(Word),
    Given = maps:put(kind, list_to_atom(Kind), attributes(Attributes)),
    Above = maps:get(in, Given, top),
    ets:insert(member, {Name, Given}),
    [{_, Names}] = ets:lookup(below, Above),
    ets:insert(below, {Above, Names ++ [Name]}),
    Kind =:= "supervisor" andalso ets:insert_new(below, {Name, []}),
    plan(Name, maps:get(start, Given, "ok")).

%% "restart=transient" is {restart, transient}; a word alone is true; numbers are numbers.
attributes(Words) ->
    maps:from_list([attribute(string:split(Word, "=")) || Word <- Words]).

attribute([Key]) -> {list_to_atom(Key), true};
attribute(["start", Value]) -> {start, Value};
attribute(["stop", Value]) -> {stop, string:split(Value, ":")};
attribute([Key, Value]) ->
    {list_to_atom(Key), try list_to_integer(Value) catch error:badarg -> list_to_atom(Value) end}.

plan(Name, Outcomes) ->
    ets:insert(plan, {Name, [list_to_atom(Each) || Each <- string:lexemes(Outcomes, ",")]}).

%% The last outcome of a plan holds for all starts after it.
next_outcome(Name) ->
    case ets:lookup(plan, Name) of
        [{_, [Outcome]}] -> Outcome;
        [{_, [Outcome | Rest]}] -> ets:insert(plan, {Name, Rest}), Outcome;
        [] -> ok
    end.

%% -- supervisors and their children --------------------------------------------------------------

start_top() ->
    case supervisor:start_link(?MODULE, {top, ok}) of
        {ok, _} -> ok;
        ignore -> note("top ignore", []);
        {error, _} -> ok
    end.

init({Name, Outcome}) ->
    case Outcome of
        ok ->
            % A change of configuration calls this again.
            pid(Name) =:= self() orelse watch(Name),
            configuration(Name);
        ignore -> note("ignore ~s", [Name]), ignore;
        fail -> note("fail ~s", [Name]), exit(crash)
    end.

configuration(Name) ->
    [{_, Given}] = ets:lookup(member, Name),
    [{_, Names}] = ets:lookup(below, Name),
    Flags = maps:with([strategy, intensity, period, auto_shutdown], Given),
    {ok, {Flags, [spec(Each) || Each <- Names]}}.

spec(Name) ->
    [{_, Given}] = ets:lookup(member, Name),
    Rules = maps:with([restart, shutdown, significant], Given),
    Type = case maps:get(kind, Given) of child -> worker; supervisor -> supervisor end,
    Rules#{id => Name, type => Type, start => {?MODULE, start_member, [Name]}}.

%% A child of a static supervisor; in a dynamic one it is called by what it was started with.
start_member(Name) -> start(Name, Name).
start_member(Template, Name) -> start(Template, Name).

start(Declared, Name) ->
    [{_, Given}] = ets:lookup(member, Declared),
    case {maps:get(kind, Given), next_outcome(Name)} of
        {supervisor, Outcome} -> supervisor:start_link(?MODULE, {Name, Outcome});
        {child, ok} -> proc_lib:start_link(?MODULE, member, [Name, Given]);
        {child, info} ->
            {ok, Pid} = proc_lib:start_link(?MODULE, member, [Name, Given]),
            {ok, Pid, "info"};
        {child, ignore} -> note("ignore ~s", [Name]), ignore;
        {child, fail} -> note("fail ~s", [Name]), {error, crash};
        {child, nothing} -> note("fail ~s", [Name]), nothing;
        {child, loop} -> timer:sleep(30), {error, crash}
    end.

member(Name, Given) ->
    process_flag(trap_exit, true),
    watch(Name),
    proc_lib:init_ack({ok, self()}),
    child(Name, maps:get(stop, Given, ["at_once"])).

child(Name, Stop) ->
    receive
        {leave, Reason} -> exit(Reason);
        {'EXIT', _, _} when Stop =:= ["stubborn"] ->
            note("asked ~s", [Name]),
            child(Name, Stop);
        {'EXIT', _, Reason} ->
            note("asked ~s", [Name]),
            case Stop of
                ["slow", Time] -> timer:sleep(list_to_integer(Time)), exit(Reason);
                ["leaves", How] -> exit(reason(How));
                ["at_once"] -> exit(Reason)
            end
    end.

reason("shutdown:" ++ Word) -> {shutdown, list_to_atom(Word)};
reason(Word) -> list_to_atom(Word).

%% -- the trace -----------------------------------------------------------------------------------

note(Format, Arguments) -> ask({note, io_lib:format(Format, Arguments)}).

%% Writes down that the caller has started under this name, and will write down its end.
watch(Name) ->
    ets:insert(pid, {Name, self()}),
    ask({watch, Name, self()}).

ask(What) ->
    trace ! {self(), What},
    receive {trace, Answer} -> Answer end.

trace(Count) ->
    receive
        {From, {note, Text}} ->
            io:format("~s~n", [Text]),
            From ! {trace, ok},
            trace(Count + 1);
        {From, {watch, Name, Pid}} ->
            io:format("start ~s~n", [Name]),
            put(monitor(process, Pid), Name),
            From ! {trace, ok},
            trace(Count + 1);
        {From, count} ->
            From ! {trace, Count},
            trace(Count);
        {'DOWN', Monitor, process, _, Reason} ->
            io:format("end ~s ~s~n", [erase(Monitor), end_text(Reason)]),
            trace(Count + 1);
        {From, finish} ->
            unregister(trace),
            From ! {trace, ok}
    end.

end_text({shutdown, {failed_to_start_child, Id, Reason}}) ->
    io_lib:format("did not start: ~s ~s", [Id, end_text(Reason)]);
end_text({shutdown, Word}) -> io_lib:format("shutdown:~s", [Word]);
end_text({'EXIT', Reason}) -> end_text(Reason);
end_text(Reason) when Reason =:= normal; Reason =:= shutdown; Reason =:= killed ->
    atom_to_list(Reason);
end_text(_) -> "crash".

%% -- steps ---------------------------------------------------------------------------------------

%% `Later` holds the timers of what is to happen by itself.
step(Words, Later) ->
    note("> ~s", [string:join(Words, " ")]),
    More = perform(Words),
    settle(),
    More ++ Later.

perform(["exit", Name, Reason]) -> leave(pid(Name), Reason), [];
perform(["later", Time, "exit", Name, Reason]) ->
    Pid = pid(Name),
    [erlang:send_after(list_to_integer(Time), Pid, {leave, reason(Reason)})];
perform(["plan", Name, Outcomes]) -> plan(list_to_atom(Name), Outcomes), [];
perform(["recover", Name]) -> plan(list_to_atom(Name), "ok"), timer:sleep(400), [];
perform(["wait", Time]) -> timer:sleep(list_to_integer(Time)), [];
perform(["align"]) ->
    timer:sleep(1000 - erlang:monotonic_time(millisecond) rem 1000 + 50), [];
perform(["send", Name]) -> pid(Name) ! "who are you?", [];
perform(["stop"]) ->
    case top() of
        undefined -> note("gone", []);
        Pid -> end_of(Pid, shutdown)
    end,
    [];
perform(["new" | Declaration]) ->
    case Declaration of
        ["top" | _] -> ets:insert(below, {top, []});
        _ -> ok
    end,
    declare(Declaration), [];
perform(["reconfigure"]) ->
    answer(fun(Top) ->
                   ok = sys:suspend(Top),
                   Answer = sys:change_code(Top, ?MODULE, old, extra),
                   ok = sys:resume(Top),
                   case Answer of ok -> ok; {error, _} -> refused end
           end, top());
perform(["start_child", Word | Attributes]) ->
    Given = attributes(Attributes),
    Name = list_to_atom(Word),
    Above = maps:get(in, Given, top),
    [{_, Flags}] = ets:lookup(member, Above),
    case Flags of
        #{strategy := simple_one_for_one} ->
            ets:member(plan, Name) orelse plan(Name, maps:get(start, Given, "ok")),
            answer(fun(Pid) -> supervisor:start_child(Pid, [Name]) end, pid(Above));
        _ ->
            ets:insert(member, {Name, Given#{kind => child}}),
            plan(Name, maps:get(start, Given, "ok")),
            answer(fun(Pid) -> supervisor:start_child(Pid, spec(Name)) end, pid(Above))
    end;
perform(["terminate_instance", Name | Where]) ->
    Child = pid(Name),
    answer(fun(Pid) -> supervisor:terminate_child(Pid, Child) end, where(Where));
perform(["which" | Where]) ->
    answer(fun(Pid) -> which(Pid, supervisor:which_children(Pid)) end, where(Where));
perform(["count" | Where]) ->
    answer(fun(Pid) -> count(supervisor:count_children(Pid)) end, where(Where));
perform([Request, Name | Where]) ->
    Call = list_to_existing_atom(Request),
    answer(fun(Pid) -> supervisor:Call(Pid, list_to_atom(Name)) end, where(Where)).

where([]) -> top();
where([Name | _]) -> pid(Name).

leave(Pid, "killed") -> end_of(Pid, kill);
leave(Pid, Reason) ->
    Monitor = monitor(process, Pid),
    Pid ! {leave, reason(Reason)},
    receive {'DOWN', Monitor, process, _, _} -> ok end.

end_of(Pid, Reason) ->
    Monitor = monitor(process, Pid),
    exit(Pid, Reason),
    receive {'DOWN', Monitor, process, _, _} -> ok end.

answer(_, undefined) -> note("= gone", []), [];
answer(Ask, Pid) ->
    Text = try Ask(Pid) of Answer -> answer_text(Answer)
           catch exit:_ -> "gone"
           end,
    note("= ~s", [Text]),
    [].

answer_text(ok) -> "ok";
answer_text({ok, undefined}) -> "ok, not running";
answer_text({ok, _}) -> "ok";
answer_text({ok, _, Info}) -> ["ok, ", Info];
answer_text({error, {already_started, _}}) -> "already_started";
answer_text({error, {Reason, _}}) when Reason =:= crash; Reason =:= nothing -> "failed";
answer_text({error, Reason}) when Reason =:= crash; Reason =:= nothing -> "failed";
answer_text({error, Reason}) when is_atom(Reason) -> atom_to_list(Reason);
answer_text({error, _}) -> "refused";
answer_text(Text) -> Text.

%% OTP lists the newest first; here the oldest is first, as everywhere else in the trace. Instances
%% of a dynamic supervisor have no order: they are only counted by state.
which(Pid, Children) ->
    States = [{Id, state(Child)} || {Id, Child, _, _} <- lists:reverse(Children)],
    case lists:member({undefined, State = state(Pid)}, States) orelse
        [Id || {Id, _} <- States, Id =:= undefined] of
        [] -> [io_lib:format("~s=~s ", [Id, Each]) || {Id, Each} <- States] ++ ".";
        _ ->
            [io_lib:format("~s:~b ", [Each, length([1 || {_, S} <- States, S =:= Each])])
             || Each <- [State, stopped, restarting]] ++ "."
    end.

state(undefined) -> stopped;
state(restarting) -> restarting;
state(_) -> running.

count(Counts) ->
    [io_lib:format("~b ", [proplists:get_value(Key, Counts)])
     || Key <- [specs, active, supervisors, workers]] ++ ".".

pid(Name) when is_list(Name) -> pid(list_to_atom(Name));
pid(Name) ->
    case ets:lookup(pid, Name) of
        [{_, Pid}] -> Pid;
        [] -> undefined
    end.

top() ->
    case pid(top) of
        undefined -> undefined;
        Pid -> case is_process_alive(Pid) of true -> Pid; false -> undefined end
    end.

%% Returns when nothing has happened for a while: every supervisor has answered several times, and
%% none of that added to the trace.
settle() -> settle(6).

settle(0) -> ok;
settle(Rounds) ->
    Before = ask(count),
    [catch supervisor:count_children(Pid) || {Name, Pid} <- ets:tab2list(pid), is_supervisor(Name)],
    timer:sleep(1),
    case ask(count) of
        Before -> settle(Rounds - 1);
        _ -> settle(6)
    end.

is_supervisor(Name) ->
    case ets:lookup(member, Name) of
        [{_, #{kind := supervisor}}] -> true;
        _ -> false
    end.

left() ->
    Alive = lists:sort([Name || {Name, Pid} <- ets:tab2list(pid), is_process_alive(Pid)]),
    note("left: ~s", [string:join([atom_to_list(Name) || Name <- Alive], " ")]).

flush() ->
    receive _ -> flush() after 0 -> ok end.
