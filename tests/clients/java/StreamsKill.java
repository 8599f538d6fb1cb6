import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A word count of three processes of one streams group, of which one is killed with SIGKILL and one leaves, and its counts in the end. */
final class StreamsKill {
  private static final int LINES = 4_000;
  private static final int WORDS_A_LINE = 5;
  private static final int VOCABULARY = 200;

  private final StreamsGroups groups;
  private final Cluster cluster;
  private final String guarantee;
  private final String application;
  private final String input;
  private final String output;
  private final Random dice = new Random(7);
  private final Map<String, Long> wanted = new HashMap<>();
  private final List<Process> instances = new ArrayList<>();

  StreamsKill(StreamsGroups groups, String guarantee) throws Exception {
    this.groups = groups;
    this.cluster = groups.cluster();
    this.guarantee = guarantee;
    application = groups.application();
    input = cluster.topic("words", StreamsGroups.PARTITIONS);
    output = cluster.topic("counts", StreamsGroups.PARTITIONS);
  }

  void run() throws Exception {
    try (var admin = cluster.admin()) {
      fill();
      var first = start();
      var second = start();
      shared(admin, 2);
      var third = start();
      shared(admin, 3);
      fill();
      Scenarios.check(first.inputReader().readLine() != null, "the first has ended by itself");
      first.destroyForcibly().waitFor();
      shared(admin, 2);
      fill();
      third.getOutputStream().close();
      Scenarios.check(third.waitFor(30, TimeUnit.SECONDS) && third.exitValue() == 0, "the third does not end in order");
      shared(admin, 1);
      compare();
      groups.internalTopics(application);
      second.getOutputStream().close();
      Scenarios.check(second.waitFor(30, TimeUnit.SECONDS) && second.exitValue() == 0, "the second does not end in order");
    } finally {
      instances.forEach(Process::destroyForcibly);
    }
  }

  private Process start() throws Exception {
    var state = Files.createTempDirectory("streams").toString();
    var command = List.of("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=ERROR", "-cp",
        System.getProperty("java.class.path"), "WordCount", cluster.bootstrap(), application, guarantee, state, input, output, "streams");
    var instance = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    instances.add(instance);
    return instance;
  }

  private void shared(Admin admin, int processes) throws Exception {
    groups.await(admin, application, processes + " instances share the tasks", group -> StreamsGroups.isShared(group, processes));
  }

  /** Sends a third of the lines. */
  private void fill() {
    try (var producer = cluster.producer(Map.of("linger.ms", 5))) {
      for (int line = 0; line < LINES; line++) {
        var words = new ArrayList<String>();
        for (int i = 0; i < WORDS_A_LINE; i++) words.add("word" + dice.nextInt(VOCABULARY));
        words.forEach(word -> wanted.merge(word, 1L, Long::sum));
        producer.send(new ProducerRecord<>(input, line % StreamsGroups.PARTITIONS, null, String.join(" ", words)));
      }
    }
  }

  /** Reads committed counts until each word's has come up to what is wanted; exactly once none goes beyond. */
  private void compare() throws Exception {
    var found = new HashMap<String, Long>();
    var configs = Map.<String, Object>of("bootstrap.servers", cluster.bootstrap(), "isolation.level", "read_committed",
        "auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new LongDeserializer())) {
      consumer.assign(List.of(new TopicPartition(output, 0), new TopicPartition(output, 1), new TopicPartition(output, 2)));
      try {
        Scenarios.await("every word is counted", StreamsGroups.PATIENCE_S, () -> {
          consumer.poll(Cluster.POLL).forEach(record -> found.put(record.key(), record.value()));
          return wanted.entrySet().stream().allMatch(word -> found.getOrDefault(word.getKey(), 0L) >= word.getValue());
        });
      } catch (AssertionError late) {
        throw new AssertionError("%s: %d counted of %d".formatted(late.getMessage(), sum(found), sum(wanted)));
      }
      // What was counted twice would be told of soon.
      for (int i = 0; i < 5; i++) consumer.poll(Cluster.POLL).forEach(record -> found.put(record.key(), record.value()));
    }
    if (guarantee.equals("exactly_once_v2")) Scenarios.equal(wanted, found, "counts");
    System.out.printf("%s: %d words counted, %d of them twice%n", guarantee, sum(wanted), sum(found) - sum(wanted));
  }

  private static long sum(Map<String, Long> counts) {
    return counts.values().stream().mapToLong(Long::longValue).sum();
  }
}
