import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeStreamsGroupsOptions;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListStreamsGroupOffsetsSpec;
import org.apache.kafka.clients.admin.StreamsGroupDescription;
import org.apache.kafka.clients.admin.StreamsGroupMemberAssignment.TaskIds;
import org.apache.kafka.clients.admin.StreamsGroupMemberDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.tools.DumpLogSegments;
import org.apache.kafka.tools.streams.StreamsGroupCommand;

/**
 * Streams groups (KIP-1071): StreamsGroups BOOTSTRAP LOG_DIR [PART OF THE NAMES OF SCENARIOS].
 *
 * A word count whose instances come, go and are killed, with its internal topics and standby replicas, and what administrators
 * and Kafka's own tools see and do of its group; LOG_DIR is the broker's.
 */
final class StreamsGroups {
  static final int PARTITIONS = 3;
  /** Instances are processes that have to start and to restore their state. */
  static final int PATIENCE_S = 60;
  private static final String HEARTBEAT_MS = "300";

  private final Cluster cluster;
  private final Path logDir;

  private StreamsGroups(Cluster cluster, Path logDir) {
    this.cluster = cluster;
    this.logDir = logDir;
  }

  public static void main(String[] args) {
    var groups = new StreamsGroups(new Cluster(args[0]), Path.of(args[1]));
    var scenarios = new Scenarios(args.length > 2 ? args[2] : "");
    for (var guarantee : List.of("exactly_once_v2", "at_least_once"))
      scenarios.run("counts: instances come, go and are killed (" + guarantee + ")", () -> new StreamsKill(groups, guarantee).run());
    scenarios.run("groups: topology, members and tasks are described", groups::described);
    scenarios.run("groups: standby tasks as the group is configured", groups::standbys);
    scenarios.run("groups: source topics that are not there are waited for", groups::waits);
    scenarios.run("groups: offsets are told, altered and deleted", groups::offsets);
    scenarios.run("groups: an id is one kind of group's, and a group with members stays", groups::refusals);
    scenarios.run("streams-groups: lists, describes, resets and deletes", groups::tool);
    scenarios.run("dump-log: the records of a group", groups::dumped);
    System.exit(scenarios.sum() ? 0 : 1);
  }

  Cluster cluster() {
    return cluster;
  }

  /** The name of a new application whose group misses members soon. */
  String application(String... configs) throws Exception {
    var name = cluster.name("streams");
    configure(name, "streams.session.timeout.ms", "1500", "streams.heartbeat.interval.ms", HEARTBEAT_MS,
        "streams.initial.rebalance.delay.ms", "0");
    configure(name, configs);
    return name;
  }

  void configure(String group, String... configs) throws Exception {
    var changes = new ArrayList<AlterConfigOp>();
    for (int i = 0; i < configs.length; i += 2)
      changes.add(new AlterConfigOp(new ConfigEntry(configs[i], configs[i + 1]), AlterConfigOp.OpType.SET));
    if (changes.isEmpty()) return;
    try (var admin = cluster.admin()) {
      admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), changes)).all().get();
    }
  }

  /** An instance in this process, started. */
  private KafkaStreams start(String application, String input, String output) throws Exception {
    var state = Files.createTempDirectory("streams").toString();
    var instance = WordCount.application(cluster.bootstrap(), application, "at_least_once", state, input, output, "streams");
    instance.start();
    return instance;
  }

  private static void leave(KafkaStreams... instances) {
    var leaving = CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP);
    for (var instance : instances)
      Scenarios.check(instance.close(leaving.withTimeout(Duration.ofSeconds(20))), "an instance does not close");
  }

  /** Waits until the group is as it should be, and gives it as it is then. */
  StreamsGroupDescription await(Admin admin, String group, String what, Predicate<StreamsGroupDescription> holds) throws Exception {
    var found = new StreamsGroupDescription[1];
    try {
      Scenarios.await(what, PATIENCE_S, () -> holds.test(found[0] = describeIfThere(admin, group)));
    } catch (AssertionError late) {
      throw new AssertionError(late.getMessage() + "; the group is " + found[0]);
    }
    return found[0];
  }

  private static StreamsGroupDescription describeIfThere(Admin admin, String group) {
    try {
      // Without the operations a description cannot be printed (Kafka 4.3.1).
      var options = new DescribeStreamsGroupsOptions().includeAuthorizedOperations(true);
      return admin.describeStreamsGroups(List.of(group), options).all().get().get(group);
    } catch (ExecutionException failure) {
      if (failure.getCause() instanceof GroupIdNotFoundException) return null;
      throw new AssertionError(failure);
    } catch (InterruptedException failure) {
      throw new AssertionError(failure);
    }
  }

  /** Stable, with so many members of so many instances, each instance with some active task, each task active with one. */
  static boolean isShared(StreamsGroupDescription group, int instances) {
    if (group == null || group.groupState() != GroupState.STABLE) return false;
    var busy = group.members().stream().filter(member -> !member.assignment().activeTasks().isEmpty());
    var processes = group.members().stream().map(StreamsGroupMemberDescription::processId).distinct().count();
    return processes == instances
        && busy.map(StreamsGroupMemberDescription::processId).distinct().count() == instances
        && tasks(group, member -> member.assignment().activeTasks()).size() == 2 * PARTITIONS;
  }

  /** Tasks as "subtopology_partition"; none may be with two members. */
  static Set<String> tasks(StreamsGroupDescription group, Function<StreamsGroupMemberDescription, List<TaskIds>> of) {
    var all = new TreeSet<String>();
    for (var member : group.members())
      for (var ids : of.apply(member))
        for (var partition : ids.partitions())
          Scenarios.check(all.add(ids.subtopologyId() + "_" + partition), "a task twice: " + group);
    return all;
  }

  private void described() throws Exception {
    var input = cluster.topic("words", PARTITIONS);
    var output = cluster.topic("counts", PARTITIONS);
    var name = application();
    try (var admin = cluster.admin()) {
      var instance = start(name, input, output);
      var group = await(admin, name, "one instance has all tasks", found -> isShared(found, 1));
      Scenarios.equal(Set.of("0_0", "0_1", "0_2", "1_0", "1_1", "1_2"), tasks(group, m -> m.assignment().activeTasks()), "tasks");
      Scenarios.equal(2, group.members().size(), "members: a thread each");
      Scenarios.equal(group.groupEpoch(), group.targetAssignmentEpoch(), "epoch of the assignment");
      var repartition = name + "-words-repartition";
      var changelog = name + "-counts-changelog";
      var subtopologies = group.subtopologies().stream().sorted((a, b) -> a.subtopologyId().compareTo(b.subtopologyId())).toList();
      Scenarios.equal(List.of("0", "1"), subtopologies.stream().map(s -> s.subtopologyId()).toList(), "subtopologies");
      Scenarios.equal(List.of(input), subtopologies.get(0).sourceTopics(), "sources");
      Scenarios.equal(List.of(repartition), subtopologies.get(0).repartitionSinkTopics(), "sinks");
      Scenarios.equal(PARTITIONS, subtopologies.get(1).repartitionSourceTopics().get(repartition).partitions(), "partitions repartitioned");
      Scenarios.equal(Set.of(changelog), subtopologies.get(1).stateChangelogTopics().keySet(), "changelogs");
      for (var member : group.members()) {
        Scenarios.check(!member.isClassic() && member.memberEpoch() == group.groupEpoch(), "a member is " + member);
        Scenarios.check(member.clientId().startsWith(name) && member.clientHost().contains("127."), "a member is " + member);
        Scenarios.equal(member.targetAssignment(), member.assignment(), "assignment");
      }
      internalTopics(name);
      Scenarios.equal(Set.of(name), listed(admin, Set.of(GroupType.STREAMS), Set.of(), name), "listed by type");
      Scenarios.equal(Set.of(), listed(admin, Set.of(GroupType.CLASSIC, GroupType.CONSUMER), Set.of(), name), "listed by another type");
      Scenarios.equal(Set.of(name), listed(admin, Set.of(), Set.of(GroupState.STABLE), name), "listed by state");
      leave(instance);
      await(admin, name, "the group is empty", found -> found.groupState() == GroupState.EMPTY && found.members().isEmpty());
    }
  }

  private static Set<String> listed(Admin admin, Set<GroupType> types, Set<GroupState> states, String group) throws Exception {
    var options = new ListGroupsOptions().withTypes(types).inGroupStates(states);
    return admin.listGroups(options).all().get().stream().map(GroupListing::groupId).filter(group::equals).collect(Collectors.toSet());
  }

  /** The topics that the coordinator made, as the application asked for them. */
  void internalTopics(String application) throws Exception {
    var wanted = Map.of(
        application + "-counts-changelog", Map.of("cleanup.policy", "compact"),
        application + "-words-repartition", Map.of("cleanup.policy", "delete", "retention.ms", "-1"));
    try (var admin = cluster.admin()) {
      for (var topic : admin.describeTopics(wanted.keySet()).allTopicNames().get().values())
        Scenarios.equal(PARTITIONS, topic.partitions().size(), "partitions of " + topic.name());
      var resources = wanted.keySet().stream().map(topic -> new ConfigResource(ConfigResource.Type.TOPIC, topic)).toList();
      var found = admin.describeConfigs(resources).all().get();
      for (var resource : resources)
        wanted.get(resource.name()).forEach((key, value) ->
            Scenarios.equal(value, found.get(resource).get(key).value(), key + " of " + resource.name()));
    }
  }

  private void standbys() throws Exception {
    var input = cluster.topic("words", PARTITIONS);
    var output = cluster.topic("counts", PARTITIONS);
    var name = application("streams.num.standby.replicas", "1");
    try (var admin = cluster.admin()) {
      var first = start(name, input, output);
      var second = start(name, input, output);
      var group = await(admin, name, "two instances have the tasks and their standbys", found ->
          isShared(found, 2) && tasks(found, member -> member.assignment().standbyTasks()).equals(Set.of("1_0", "1_1", "1_2")));
      var active = byProcess(group, member -> member.assignment().activeTasks());
      var standby = byProcess(group, member -> member.assignment().standbyTasks());
      Scenarios.check(active.stream().noneMatch(standby::contains), "a standby beside its active task: " + group);
      configure(name, "streams.num.standby.replicas", "0");
      await(admin, name, "no standbys any more", found ->
          isShared(found, 2) && tasks(found, member -> member.assignment().standbyTasks()).isEmpty());
      Scenarios.refused(InvalidConfigurationException.class, () -> configure(name, "streams.num.standby.replicas", "9"));
      leave(first, second);
    }
  }

  /** "process subtopology_partition" of each task. */
  private static Set<String> byProcess(StreamsGroupDescription group, Function<StreamsGroupMemberDescription, List<TaskIds>> of) {
    var all = new HashSet<String>();
    for (var member : group.members())
      for (var ids : of.apply(member))
        ids.partitions().forEach(partition -> all.add(member.processId() + " " + ids.subtopologyId() + "_" + partition));
    return all;
  }

  private void waits() throws Exception {
    var input = cluster.name("words");
    var output = cluster.topic("counts", PARTITIONS);
    var name = application();
    try (var admin = cluster.admin()) {
      var instance = start(name, input, output);
      await(admin, name, "the group is not ready", found -> found != null && found.groupState() == GroupState.NOT_READY);
      leave(instance);
      await(admin, name, "the group is empty", found -> found.groupState() == GroupState.EMPTY);
    }
  }

  private void offsets() throws Exception {
    var input = cluster.topic("words", PARTITIONS);
    var output = cluster.topic("counts", PARTITIONS);
    var name = application();
    cluster.fill(input, 300);
    try (var admin = cluster.admin()) {
      var instance = start(name, input, output);
      Scenarios.await("all is read and committed", PATIENCE_S, () -> committed(admin, name, input) == 300);
      var partition = new TopicPartition(input, 0);
      Scenarios.refused(GroupSubscribedToTopicException.class,
          () -> admin.deleteStreamsGroupOffsets(name, Set.of(partition)).partitionResult(partition).get());
      leave(instance);
      await(admin, name, "the group is empty", found -> found.groupState() == GroupState.EMPTY);
      admin.alterStreamsGroupOffsets(name, Map.of(partition, new OffsetAndMetadata(1))).all().get();
      Scenarios.equal(1L, offsetsOf(admin, name).get(partition).offset(), "altered");
      admin.deleteStreamsGroupOffsets(name, Set.of(partition)).all().get();
      Scenarios.check(!offsetsOf(admin, name).containsKey(partition), "it is still there");
      Scenarios.check(offsetsOf(admin, name).containsKey(new TopicPartition(input, 1)), "another is gone");
      admin.deleteStreamsGroups(List.of(name)).all().get();
      Scenarios.refused(GroupIdNotFoundException.class, () -> admin.describeStreamsGroups(List.of(name)).all().get());
    }
  }

  private static Map<TopicPartition, OffsetAndMetadata> offsetsOf(Admin admin, String group) throws Exception {
    return admin.listStreamsGroupOffsets(Map.of(group, new ListStreamsGroupOffsetsSpec())).partitionsToOffsetAndMetadata(group).get();
  }

  private static long committed(Admin admin, String group, String topic) {
    try {
      return offsetsOf(admin, group).entrySet().stream()
          .filter(entry -> entry.getKey().topic().equals(topic)).mapToLong(entry -> entry.getValue().offset()).sum();
    } catch (Exception failure) {
      throw new AssertionError(failure);
    }
  }

  private void refusals() throws Exception {
    var input = cluster.topic("words", PARTITIONS);
    var output = cluster.topic("counts", PARTITIONS);
    var name = application();
    try (var admin = cluster.admin()) {
      var instance = start(name, input, output);
      await(admin, name, "one instance has all tasks", found -> isShared(found, 1));
      Scenarios.refused(GroupNotEmptyException.class, () -> admin.deleteStreamsGroups(List.of(name)).all().get());
      Scenarios.refused(GroupIdNotFoundException.class, () -> admin.describeShareGroups(List.of(name)).all().get());
      Scenarios.refused(GroupIdNotFoundException.class, () -> admin.describeStreamsGroups(List.of(name + "-none")).all().get());
      try (var consumer = cluster.consumer(Map.of("group.id", name))) {
        consumer.subscribe(List.of(input));
        Scenarios.refused(KafkaException.class, () -> consumer.poll(Duration.ofSeconds(10)));
      }
      leave(instance);
    }
  }

  private void tool() throws Exception {
    var input = cluster.topic("words", PARTITIONS);
    var output = cluster.topic("counts", PARTITIONS);
    var name = application();
    cluster.fill(input, 300);
    try (var admin = cluster.admin()) {
      var instance = start(name, input, output);
      await(admin, name, "one instance has all tasks", found -> isShared(found, 1));
      Scenarios.await("all is read and committed", PATIENCE_S, () -> committed(admin, name, input) == 300);
      prints("^" + name + "$", "--list");
      prints("^" + name + "\\s+Stable", "--list", "--state");
      prints("^" + name + "\\s.*Stable\\s+2", "--describe", "--state", "--group", name);
      prints("^" + name + "\\s+" + input + "\\s+1\\s+\\d+", "--describe", "--offsets", "--group", name);
      prints("^" + name + "\\s.*ACTIVE:.*1:\\[?[0-2]|0:\\[?[0-2]", "--describe", "--members", "--group", name);
      prints("^" + name + "\\s+" + input + "\\s", "--describe", "--verbose", "--group", name);
      prints("is not empty|GroupNotEmpty|non-empty|not inactive", "--delete", "--group", name);
      leave(instance);
      await(admin, name, "the group is empty", found -> found.groupState() == GroupState.EMPTY);
      prints(input + "\\s+[0-2]\\s+0\\s*$", "--reset-offsets", "--to-earliest", "--group", name, "--input-topic", input, "--execute");
      Scenarios.equal(0L, committed(admin, name, input), "offsets after they were reset");
      prints(input + "\\s+0\\s+Successful", "--delete-offsets", "--group", name, "--input-topic", input);
      Scenarios.check(offsetsOf(admin, name).keySet().stream().noneMatch(at -> at.topic().equals(input)), "offsets are still there");
      prints("was successful|successfully", "--delete", "--group", name);
      Scenarios.refused(GroupIdNotFoundException.class, () -> admin.describeStreamsGroups(List.of(name)).all().get());
    }
  }

  private void dumped() throws Exception {
    var input = cluster.topic("words", PARTITIONS);
    var output = cluster.topic("counts", PARTITIONS);
    var name = application();
    try (var admin = cluster.admin()) {
      var instance = start(name, input, output);
      await(admin, name, "one instance has all tasks", found -> isShared(found, 1));
      List<String> logs;
      try (var files = Files.walk(logDir)) {
        logs = files.map(Path::toString).filter(file -> file.matches(".*/__consumer_offsets-\\d+/\\d+\\.log")).toList();
      }
      String[] arguments = {"--files", String.join(",", logs), "--offsets-decoder", "--print-data-log"};
      var text = printed(() -> DumpLogSegments.main(arguments));
      var records = text.lines().filter(line -> line.contains(name)).toList();
      for (var wanted : Map.of("17", "\"epoch\":", "19", "\"processId\":", "20", "\"assignmentEpoch\":", "21", "\"activeTasks\":",
          "22", "\"activeTasks\":", "23", "\"stateChangelogTopics\":").entrySet())
        Scenarios.check(
            records.stream()
                .filter(line -> line.contains("\"type\":\"%s\"".formatted(wanted.getKey())))
                .anyMatch(line -> line.contains(wanted.getValue())),
            "no record of type %s in %s".formatted(wanted.getKey(), records));
      leave(instance);
    }
  }

  /** Runs Kafka's tool, which has to print a line with the pattern. */
  private void prints(String pattern, String... arguments) throws Exception {
    var all = new ArrayList<>(List.of("--bootstrap-server", cluster.bootstrap()));
    all.addAll(Arrays.asList(arguments));
    var text = printed(() -> StreamsGroupCommand.execute(all.toArray(String[]::new)));
    var compiled = Pattern.compile(pattern);
    Scenarios.check(text.lines().anyMatch(line -> compiled.matcher(line.strip()).find()),
        "streams-groups %s: wanted /%s/, got:%n%s".formatted(String.join(" ", arguments), pattern, text));
  }

  /** What a tool prints that runs in this process. */
  private static String printed(Scenarios.Body tool) throws Exception {
    var printed = new ByteArrayOutputStream();
    var before = List.of(System.out, System.err);
    try (var out = new PrintStream(printed, true, StandardCharsets.UTF_8)) {
      System.setOut(out);
      System.setErr(out);
      tool.run();
    } finally {
      System.setOut(before.get(0));
      System.setErr(before.get(1));
    }
    return printed.toString(StandardCharsets.UTF_8);
  }
}
